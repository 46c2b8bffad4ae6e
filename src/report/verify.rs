//! What became of a device's kernels, for a terminal and for files.

use serde::{Deserialize, Serialize};

use super::profile::SCHEMA;
use super::table::{Cell, Table};
use crate::gpu::DeviceInfo;
use crate::verify::Verification;

/// A device's kernels, compared with the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `verify`.
    pub kind: String,
    /// The version of this crate.
    pub version: String,
    /// What was found.
    #[serde(flatten)]
    pub found: Verification,
}

impl VerifyReport {
    /// A report of what was found.
    pub fn new(found: Verification) -> Self {
        VerifyReport { schema: SCHEMA, kind: "verify".into(), version: env!("CARGO_PKG_VERSION").into(), found }
    }

    /// Device, driver and version in one line.
    pub fn headline(&self) -> String {
        let DeviceInfo { name, kind, backend, driver, .. } = &self.found.device;
        format!("{name} ({kind}, {backend}, {driver}), wavelane {}", self.version)
    }

    /// How much was compared, and what came of it, in one line.
    pub fn summary(&self) -> String {
        let Verification { full, cases, kernels, seconds, struck, untried, .. } = &self.found;
        let extent =
            if *full { "all cases" } else { "a case for each shader with its providers, of the kernels used by default" };
        let missing: usize = untried.iter().map(|(_, n)| n).sum();
        format!(
            "{cases} comparisons of {kernels} kernels in {seconds:.1} s ({extent}); {} struck, {missing} comparisons not possible",
            struck.len()
        )
    }

    /// What each family of kernels showed.
    pub fn families(&self) -> Table {
        let mut table = Table::new(&["family", "kernels", "cases", "wrong", "worst / tolerance", "s"]);
        for f in &self.found.families {
            let numbers = [Cell::Number(f.worst, 3), Cell::Number(f.seconds, 2)];
            let counts = [f.kernels, f.cases, f.wrong].map(Cell::from);
            table.row([vec![f.family.as_str().into()], counts.into(), numbers.into()].concat());
        }
        table
    }

    /// The kernels that are struck.
    pub fn struck(&self) -> Table {
        let mut table = Table::new(&["struck kernel", "what is wrong with it", "used instead"]);
        for (kernel, struck) in &self.found.struck {
            let replacement = struck.replacement.as_deref().unwrap_or("nothing: no other kernel does it");
            table.row([kernel, &struck.reason, replacement].map(Cell::from).into());
        }
        table
    }

    /// What could not be compared.
    pub fn untried(&self) -> Table {
        let mut table = Table::new(&["op", "view of the device", "not compared because", "comparisons"]);
        for (untried, n) in &self.found.untried {
            let texts = [&untried.op, &untried.view, &untried.reason].map(|text| Cell::from(text.as_str()));
            table.row([texts.into(), vec![Cell::from(*n)]].concat());
        }
        table
    }

    /// The tables for a terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n\n{}", self.headline(), self.families().to_text());
        for (kernel, struck) in &self.found.struck {
            let instead = struck.replacement.as_deref().unwrap_or("nothing");
            text += &format!("\nstruck: {kernel}\n  because: {}\n  instead: {instead}\n", struck.reason);
        }
        if !self.found.untried.is_empty() {
            text += &format!("\n{}", self.untried().to_text());
        }
        text + &format!("\n{}\n", self.summary())
    }
}
