//! The committed table of costs: a line for each variant, with what an invocation of it does.

use std::collections::BTreeMap;
use std::fmt;

use super::{Count, Report};
use crate::error::{Error, Result};

/// Where the table lies in the source tree.
pub const PATH: &str = "tests/data/shader_costs.txt";

const HEADER: &str = "\
# What an invocation of each shader variant does, as `wavelane shaders --update` writes it; docs/gate.md says how it is counted.
# A line is a kernel, a tab, and its counts but for zeros; `loop.` is per iteration of loops with unknown bounds.
";

type Costs = BTreeMap<String, u64>;

/// Costs by the names of variants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(BTreeMap<String, Costs>);

impl Table {
    /// The table of these reports.
    ///
    /// # Errors
    /// [`Error::Invalid`] when two variants of one name differ. Expressions that differ may read the same in WGSL.
    pub fn of(reports: &[Report]) -> Result<Self> {
        let mut table: BTreeMap<String, Costs> = BTreeMap::new();
        for report in reports {
            let costs = costs(report);
            if table.insert(report.name.clone(), costs.clone()).is_some_and(|other| other != costs) {
                return Err(Error::invalid("table of shader costs", format!("two variants are called '{}'", report.name)));
            }
        }
        Ok(Table(table))
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`Error::Format`] naming the line.
    pub fn parse(text: &str) -> Result<Self> {
        let mut table = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let wrong = |what: &str| Error::format(format!("table of shader costs, line {}", number + 1), what);
            let (name, counts) = line.rsplit_once('\t').ok_or_else(|| wrong("it has no tab"))?;
            let count = |word: &str| {
                let (key, value) = word.split_once('=').ok_or_else(|| wrong("a count lacks its '='"))?;
                Ok((key.to_owned(), value.parse().map_err(|_| wrong("a count is no number"))?))
            };
            let costs = counts.split_whitespace().map(count).collect::<Result<Costs>>()?;
            if table.insert(name.to_owned(), costs).is_some() {
                return Err(wrong("the variant has a line already"));
            }
        }
        Ok(Table(table))
    }

    /// How `computed` departs from this table, a sentence for each count that rose or fell and each variant that is new or gone.
    pub fn departures(&self, computed: &Table) -> Vec<String> {
        let mut found = Vec::new();
        for (name, costs) in &computed.0 {
            let Some(committed) = self.0.get(name) else {
                found.push(format!("{name} is new"));
                continue;
            };
            let keys: std::collections::BTreeSet<&String> = costs.keys().chain(committed.keys()).collect();
            for key in keys {
                let [before, now] = [committed, costs].map(|costs| costs.get(key).copied().unwrap_or(0));
                match now.cmp(&before) {
                    std::cmp::Ordering::Greater => found.push(format!("{name}: {key} rose from {before} to {now}")),
                    std::cmp::Ordering::Less => found.push(format!("{name}: {key} fell from {before} to {now}")),
                    std::cmp::Ordering::Equal => {}
                }
            }
        }
        found.extend(
            self.0.keys().filter(|name| !computed.0.contains_key(*name)).map(|name| format!("{name} is no longer planned")),
        );
        found
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        for (name, costs) in &self.0 {
            write!(f, "{name}\t")?;
            for (i, (key, value)) in costs.iter().enumerate() {
                write!(f, "{}{key}={value}", if i == 0 { "" } else { " " })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn costs(report: &Report) -> Costs {
    let cost = &report.cost;
    let sizes = [
        ("shared-bytes".to_owned(), report.workgroup_bytes.into()),
        ("storage-buffers".to_owned(), report.storage_buffers.into()),
        ("loops".to_owned(), cost.loops),
    ];
    let once = Count::ALL.iter().map(|count| (count.name().to_owned(), cost.once.get(*count)));
    let repeated = Count::ALL.iter().map(|count| (format!("loop.{}", count.name()), cost.repeated.get(*count)));
    sizes.into_iter().chain(once).chain(repeated).filter(|(_, n)| *n > 0).collect()
}
