//! A model's profiles on one device, for tables and files.

use serde::{Deserialize, Serialize};

use super::fold::{self, Fold};
use super::table::{Cell, Table};
use super::trace;
use crate::gpu::DeviceInfo;
use crate::gpu::profile::Method;
use crate::measure::Part;

/// The version of the JSON of reports; it grows when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// A model's profiles on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `profile`.
    pub kind: String,
    /// The version of this crate.
    pub version: String,
    /// The model file's name.
    pub model: String,
    /// The device.
    pub device: DeviceInfo,
    /// Its parts: steps of a language model, stages of an ONNX model.
    pub parts: Vec<Part>,
}

impl ProfileReport {
    /// A report of these parts.
    pub fn new(model: &str, device: &DeviceInfo, parts: Vec<Part>) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let (model, device) = (model.to_owned(), device.clone());
        ProfileReport { schema: SCHEMA, kind: "profile".into(), version, model, device, parts }
    }

    /// Tables for a terminal: of each part the ops, and the `top` nodes and places of layers that took longest.
    pub fn to_text(&self, top: usize) -> String {
        let DeviceInfo { name, kind, backend, driver, .. } = &self.device;
        let mut text = format!("{} on {name} ({kind}, {backend}, {driver})\n", self.model);
        for part in &self.parts {
            text += &format!("\n{}\n", summary(part));
            text += &format!("\n{}", fold_table(part, "op", &fold::by_op(&part.profile), usize::MAX).to_text());
            let (places, nodes) = (fold::by_place(&part.profile), fold::by_node(&part.profile));
            if places.len() < nodes.len() {
                text += &format!("\n{}", fold_table(part, "nodes of all layers", &places, top).to_text());
            }
            text += &format!("\n{}", fold_table(part, "node", &nodes, top).to_text());
        }
        text
    }

    /// A trace in the format that Chrome's `about:tracing` and Perfetto read: the dispatches of each part laid end to end, since the
    /// medians of several runs have no common beginning.
    pub fn to_trace(&self) -> serde_json::Value {
        trace::of(self)
    }
}

/// One line of a part: dispatches, their time, the time of an ordinary run.
pub fn summary(part: &Part) -> String {
    let Part { name, profile } = part;
    let how = match profile.method {
        Method::Timestamps => "by timestamps",
        Method::Submits => "by timed submits",
    };
    format!(
        "{name}: {} dispatches take {:.3} ms {how}, an ordinary run {:.3} ms; medians of {} runs",
        profile.dispatches(),
        profile.seconds() * 1e3,
        profile.wall_seconds * 1e3,
        profile.runs
    )
}

/// The first `top` folds of a part, and the rest as one row.
pub fn fold_table(part: &Part, what: &str, folds: &[Fold], top: usize) -> Table {
    let mut table = Table::new(&[what, "ms", "%", "steps", "dispatches", "GB/s", "GFLOP/s"]);
    let all = part.profile.seconds();
    let share = |seconds: f64| Cell::number((all > 0.0).then(|| seconds / all * 100.0), 1);
    for fold in folds.iter().take(top) {
        table.row(vec![
            clip(&fold.name).into(),
            Cell::Number(fold.seconds * 1e3, 3),
            share(fold.seconds),
            fold.steps.into(),
            fold.dispatches.into(),
            Cell::number(fold.bytes_per_second().map(|x| x / 1e9), 2),
            Cell::number(fold.flops_per_second().map(|x| x / 1e9), 2),
        ]);
    }
    let rest = folds.get(top..).unwrap_or_default();
    if !rest.is_empty() {
        let seconds = rest.iter().map(|fold| fold.seconds).sum::<f64>();
        let count = |of: fn(&Fold) -> usize| Cell::from(rest.iter().map(of).sum::<usize>());
        let name = format!("{} more", rest.len());
        table.row(vec![name.into(), Cell::Number(seconds * 1e3, 3), share(seconds), count(|f| f.steps), count(|f| f.dispatches)]);
    }
    table
}

/// The end of a long name, which tells more than its beginning.
fn clip(name: &str) -> String {
    const MOST: usize = 56;
    let skipped = name.chars().count().saturating_sub(MOST);
    if skipped == 0 { name.to_owned() } else { format!("...{}", name.chars().skip(skipped + 3).collect::<String>()) }
}
