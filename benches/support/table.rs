//! A table that shows each row as soon as it is measured, or keeps all of them for JSON.

use serde_json::{Map, Value};

/// One entry of a row.
pub enum Cell {
    /// As it stands.
    Text(String),
    /// A number, shown with so many decimals.
    Number(f64, usize),
    /// Nothing to say.
    Absent,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.into())
    }
}

/// Rows under fixed headings. Texts stand at the left, numbers at the right of their column.
pub struct Table {
    json: bool,
    columns: &'static [(&'static str, usize)],
    rows: Vec<Value>,
}

impl Table {
    /// A table with columns of these headings and widths; prints the headings unless it is meant for JSON.
    pub fn new(columns: &'static [(&'static str, usize)], json: bool) -> Self {
        if !json {
            let headings: Vec<String> = columns.iter().map(|(name, width)| format!("{name:<width$}")).collect();
            println!("{}", headings.join("  ").trim_end());
        }
        Table { json, columns, rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has one cell for each column");
        if !self.json {
            let shown = |((_, width), cell): (&(&str, usize), &Cell)| match cell {
                Cell::Text(text) => format!("{text:<width$}"),
                Cell::Number(value, digits) => format!("{value:>width$.digits$}"),
                Cell::Absent => format!("{:>width$}", "-"),
            };
            let line: Vec<String> = self.columns.iter().zip(&cells).map(shown).collect();
            println!("{}", line.join("  ").trim_end());
        }
        let value = |cell| match cell {
            Cell::Text(text) => Value::from(text),
            Cell::Number(value, _) => Value::from(value),
            Cell::Absent => Value::Null,
        };
        let fields = self.columns.iter().map(|(name, _)| (*name).to_owned()).zip(cells.into_iter().map(value));
        self.rows.push(Value::Object(fields.collect::<Map<_, _>>()));
    }

    /// All rows, each an object with the headings as keys.
    pub fn into_json(self) -> Value {
        Value::Array(self.rows)
    }
}
