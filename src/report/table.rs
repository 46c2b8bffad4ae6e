//! Rows under headings, as text, Markdown or CSV.

use std::fmt::Write;

/// What stands in one place of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// A number, shown with so many decimals.
    Number(f64, usize),
    /// Nothing to say.
    Absent,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(n: usize) -> Self {
        Cell::Number(n as f64, 0)
    }
}

impl Cell {
    /// A number with so many decimals, where there is one.
    pub fn number(value: Option<f64>, decimals: usize) -> Self {
        value.map_or(Cell::Absent, |value| Cell::Number(value, decimals))
    }

    /// The cell as one reads it.
    pub fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Number(value, decimals) => format!("{value:.decimals$}"),
            Cell::Absent => "-".into(),
        }
    }

    /// Whether it stands at the right of its column.
    pub fn is_right(&self) -> bool {
        !matches!(self, Cell::Text(_))
    }
}

/// Rows under headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What the columns are called.
    pub headings: Vec<String>,
    /// As many cells each as there are headings.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headings: &[&str]) -> Self {
        Table { headings: headings.iter().map(|h| (*h).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the headings are dropped, missing ones are absent.
    pub fn row(&mut self, mut cells: Vec<Cell>) {
        cells.resize(self.headings.len(), Cell::Absent);
        self.rows.push(cells);
    }

    /// Whether a column's cells stand at the right: where some is a number and none a text.
    pub fn is_right(&self, column: usize) -> bool {
        let cells = || self.rows.iter().filter_map(|row| row.get(column));
        cells().all(Cell::is_right) && cells().any(|cell| matches!(cell, Cell::Number(..)))
    }

    /// All texts, headings first, each padded to its column.
    fn padded(&self, escape: impl Fn(String) -> String) -> Vec<Vec<String>> {
        let mut rows = vec![self.headings.clone()];
        rows.extend(self.rows.iter().map(|row| row.iter().map(|cell| escape(cell.text())).collect()));
        for column in 0..self.headings.len() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            for row in &mut rows {
                let space = " ".repeat(width - row[column].chars().count());
                row[column] = match self.is_right(column) {
                    true => space + &row[column],
                    false => std::mem::take(&mut row[column]) + &space,
                };
            }
        }
        rows
    }

    /// Columns with two spaces between them.
    pub fn to_text(&self) -> String {
        self.padded(|text| text).iter().fold(String::new(), |text, row| text + row.join("  ").trim_end() + "\n")
    }

    /// A Markdown table.
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        for (i, row) in self.padded(|text| text.replace('|', "\\|")).iter().enumerate() {
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if i == 0 {
                let rule = |(column, cell): (usize, &String)| {
                    let dashes = "-".repeat(cell.chars().count() + 1);
                    if self.is_right(column) { format!("{dashes}:") } else { format!(":{dashes}") }
                };
                let _ = writeln!(text, "|{}|", row.iter().enumerate().map(rule).collect::<Vec<_>>().join("|"));
            }
        }
        text
    }

    /// Comma-separated values (RFC 4180 but for line ends); nothing where a cell is absent.
    pub fn to_csv(&self) -> String {
        let quote = |text: String| match text.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text,
        };
        let cell = |cell: &Cell| if matches!(cell, Cell::Absent) { String::new() } else { quote(cell.text()) };
        let headings: Vec<String> = self.headings.iter().cloned().map(quote).collect();
        let mut text = headings.join(",") + "\n";
        for row in &self.rows {
            text += &(row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_in_three_shapes() {
        let mut table = Table::new(&["name", "GB/s"]);
        table.row(vec!["a, \"b\"".into(), Cell::Number(1.25, 1)]);
        table.row(vec!["c|d".into(), Cell::Absent]);
        assert_eq!(table.to_text(), "name    GB/s\na, \"b\"   1.2\nc|d        -\n");
        assert_eq!(table.to_markdown(), "| name   | GB/s |\n|:-------|-----:|\n| a, \"b\" |  1.2 |\n| c\\|d   |    - |\n");
        assert_eq!(table.to_csv(), "name,GB/s\n\"a, \"\"b\"\"\",1.2\nc|d,\n");
    }
}
