//! What a device, kernels and models showed: a report, its tables, and several beside one another.

use serde::{Deserialize, Serialize};

use super::profile::SCHEMA;
use super::table::{Cell, Table};
use crate::error::{Error, Result};
use crate::gpu::{DeviceInfo, Memory};
use crate::measure::kernels::Bound;
use crate::measure::{KernelFigure, ModelFigure, Roofs};

/// Measurements of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `bench`.
    pub kind: String,
    /// The version of this crate.
    pub version: String,
    /// Whether little was measured, only to see that everything works.
    pub quick: bool,
    /// The device.
    pub device: DeviceInfo,
    /// What it can do at most.
    pub roofs: Option<Roofs>,
    /// Kernels, each beside its roof.
    pub kernels: Vec<KernelFigure>,
    /// Models.
    pub models: Vec<ModelFigure>,
}

impl BenchReport {
    /// A report on a device without measurements.
    pub fn new(device: &DeviceInfo, quick: bool) -> Self {
        BenchReport {
            schema: SCHEMA,
            kind: "bench".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            quick,
            device: device.clone(),
            roofs: None,
            kernels: Vec::new(),
            models: Vec::new(),
        }
    }

    /// A report from its JSON; `place` names the file.
    ///
    /// # Errors
    /// [`Error::Format`] for what is no report; [`Error::Unsupported`] for reports of another kind or schema.
    pub fn from_json(text: &str, place: &str) -> Result<Self> {
        let wrong = |e: serde_json::Error| Error::format(place, e.to_string());
        let value: serde_json::Value = serde_json::from_str(text).map_err(wrong)?;
        let (schema, kind) = (value.get("schema").and_then(|s| s.as_u64()), value.get("kind").and_then(|k| k.as_str()));
        match (schema, kind) {
            (None, _) | (_, None) => Err(Error::format(place, "there is no 'schema' and 'kind': it is no report")),
            (Some(schema), Some("bench")) if schema == u64::from(SCHEMA) => serde_json::from_value(value).map_err(wrong),
            (Some(schema), Some(kind)) => {
                let what =
                    format!("{place}: a report of kind '{kind}' and schema {schema}; this version reads 'bench' of {SCHEMA}");
                Err(Error::Unsupported(what))
            }
        }
    }

    /// One line about the device.
    pub fn headline(&self) -> String {
        let DeviceInfo { name, kind, backend, driver, .. } = &self.device;
        let quick = if self.quick { ", measured in short form" } else { "" };
        format!("{name} ({kind}, {backend}, {driver}), wavelane {}{quick}", self.version)
    }

    /// The tables, each with its title.
    pub fn tables(&self) -> Vec<(String, Table)> {
        let mut tables = Vec::new();
        if let Some(roofs) = &self.roofs {
            tables.push(("Roofs".to_owned(), roof_table(roofs)));
            tables.push(("Bandwidth over sizes".to_owned(), bandwidth_table(roofs)));
        }
        if !self.kernels.is_empty() {
            tables.push(("Kernels".to_owned(), kernel_table(&self.kernels)));
        }
        if !self.models.is_empty() {
            tables.push(("Models".to_owned(), self.model_table()));
        }
        if self.models.iter().any(|model| model.memory.is_some()) {
            tables.push(("Device memory of models, MiB at most".to_owned(), memory_table(&self.models)));
        }
        tables
    }

    /// A row of each test, in the columns that users of llama-bench know.
    fn model_table(&self) -> Table {
        let mut table = Table::new(&["model", "size", "params", "backend", "test", "rate", "unit"]);
        for model in &self.models {
            for test in &model.tests {
                table.row(vec![
                    model.model.as_str().into(),
                    mebibytes(model.weight_bytes).into(),
                    model.parameters.map_or(Cell::Absent, |n| format!("{:.2} M", n as f64 / 1e6).into()),
                    self.device.backend.as_str().into(),
                    test.test.as_str().into(),
                    format!("{:.2} ± {:.2}", test.mean, test.deviation).into(),
                    test.unit.as_str().into(),
                ]);
            }
        }
        table
    }

    /// Every figure as `(section, name, unit, value, deviation)`; of all of them but times and memory, more is better.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        let mut add = |section: &'static str, name: &str, unit: &str, value: f64, deviation: Option<f64>| {
            figures.push(Figure { section, name: name.to_owned(), unit: unit.to_owned(), value, deviation });
        };
        for (name, unit, value) in self.roofs.iter().flat_map(roof_figures) {
            if let Some(value) = value {
                add("roof", name, unit, value, None);
            }
        }
        for kernel in &self.kernels {
            add("kernel", &kernel.name, "us", kernel.seconds * 1e6, Some(kernel.spread * kernel.seconds * 1e6 / 2.0));
        }
        for model in &self.models {
            for test in &model.tests {
                add("model", &format!("{} {}", model.model, test.test), &test.unit, test.mean, Some(test.deviation));
            }
            if let Some(memory) = &model.memory {
                add("model", &format!("{} device memory", model.model), "MiB", in_mebibytes(memory.total()), None);
            }
        }
        figures
    }

    /// All figures as one table, for CSV.
    pub fn flat_table(&self) -> Table {
        let mut table = Table::new(&["section", "name", "unit", "value", "deviation"]);
        for figure in self.figures() {
            let deviation = figure.deviation.map_or(Cell::Absent, |d| format!("{d:.6}").into());
            let value = format!("{:.6}", figure.value).into();
            table.row(vec![figure.section.into(), figure.name.into(), figure.unit.into(), value, deviation]);
        }
        table
    }
}

/// A number of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// `roof`, `kernel` or `model`.
    pub section: &'static str,
    /// What was measured.
    pub name: String,
    /// In which unit; less is better of `us` and `MiB`, else more.
    pub unit: String,
    /// The mean or the median.
    pub value: f64,
    /// How far repeats lie apart.
    pub deviation: Option<f64>,
}

/// Reports beside one another: of each figure the values, and how many times as good each is as the first.
pub fn compare(reports: &[(String, BenchReport)]) -> Table {
    let mut headings = vec!["what".to_owned(), "unit".to_owned()];
    headings.extend(reports.iter().map(|(name, _)| name.clone()));
    headings.extend(reports.iter().skip(1).map(|(name, _)| format!("x {name}")));
    let mut table = Table { headings, rows: Vec::new() };
    let all: Vec<Vec<Figure>> = reports.iter().map(|(_, report)| report.figures()).collect();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for figure in all.iter().flatten() {
        let key = (figure.section, figure.name.as_str());
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let value = |figures: &Vec<Figure>| figures.iter().find(|f| (f.section, f.name.as_str()) == key).map(|f| f.value);
        let values: Vec<Option<f64>> = all.iter().map(value).collect();
        let first = values.first().copied().flatten();
        let ratio = |value: &Option<f64>| match (first, value) {
            (Some(first), Some(value)) if matches!(figure.unit.as_str(), "us" | "MiB") => Some(first / value),
            (Some(first), Some(value)) => Some(value / first),
            _ => None,
        };
        let mut row: Vec<Cell> = vec![figure.name.as_str().into(), figure.unit.as_str().into()];
        row.extend(values.iter().map(|v| Cell::number(*v, 2)));
        row.extend(values.iter().skip(1).map(|v| Cell::number(ratio(v), 2)));
        table.row(row);
    }
    table
}

/// A number of bytes in MiB.
fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MiB", in_mebibytes(bytes))
}

fn in_mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn memory_table(models: &[ModelFigure]) -> Table {
    let mut table = Table::new(&["model", "weights", "states", "arena", "staging", "other", "together"]);
    for (model, memory) in models.iter().filter_map(|model| Some((model, model.memory?))) {
        let Memory { weights, states, arena, staging, other } = memory;
        let bytes = [weights, states, arena, staging, other, memory.total()];
        let cells = bytes.map(|bytes| Cell::Number(in_mebibytes(bytes), 1));
        table.row([Cell::from(model.model.as_str())].into_iter().chain(cells).collect());
    }
    table
}

/// What each roof is called, its unit and its value.
fn roof_figures(roofs: &Roofs) -> Vec<(&'static str, &'static str, Option<f64>)> {
    let giga = |x: f64| Some(x / 1e9);
    vec![
        ("read", "GB/s", giga(roofs.memory.read)),
        ("write", "GB/s", giga(roofs.memory.write)),
        ("copy, read and written", "GB/s", giga(roofs.memory.copy)),
        ("f32", "GFLOP/s", giga(roofs.f32_flops)),
        ("f16", "GFLOP/s", roofs.f16_flops.and_then(giga)),
        ("int8 by dot4I8Packed", "Gop/s", giga(roofs.int8_ops)),
        ("cooperative matrices", "GFLOP/s", roofs.cooperative_flops.and_then(giga)),
        ("dispatch", "us", Some(roofs.dispatch_seconds * 1e6)),
        ("submit and wait", "us", Some(roofs.submit_seconds * 1e6)),
        ("readback", "us", Some(roofs.readback_seconds * 1e6)),
    ]
}

fn roof_table(roofs: &Roofs) -> Table {
    let mut table = Table::new(&["roof", "value", "unit"]);
    for (name, unit, value) in roof_figures(roofs) {
        table.row(vec![name.into(), Cell::number(value, 2), unit.into()]);
    }
    table
}

fn bandwidth_table(roofs: &Roofs) -> Table {
    let mut table = Table::new(&["MiB", "read GB/s", "write GB/s", "copy GB/s"]);
    for b in &roofs.bandwidth {
        let rate = |x: f64| Cell::Number(x / 1e9, 2);
        table.row(vec![Cell::Number((b.bytes >> 20) as f64, 0), rate(b.read), rate(b.write), rate(b.copy)]);
    }
    table
}

/// What a roof is called.
pub fn bound_name(bound: Bound) -> &'static str {
    match bound {
        Bound::Read => "read",
        Bound::Copy => "copy",
        Bound::F32 => "f32",
    }
}

fn kernel_table(kernels: &[KernelFigure]) -> Table {
    let mut table = Table::new(&["kernel", "shader", "us", "spread %", "GB/s", "GFLOP/s", "roof", "% of roof"]);
    for kernel in kernels {
        table.row(vec![
            kernel.name.as_str().into(),
            kernel.shader.as_str().into(),
            Cell::Number(kernel.seconds * 1e6, 1),
            Cell::Number(kernel.spread * 100.0, 1),
            Cell::Number(kernel.bytes_per_second() / 1e9, 2),
            Cell::Number(kernel.flops_per_second() / 1e9, 2),
            bound_name(kernel.bound).into(),
            Cell::Number(kernel.share * 100.0, 1),
        ]);
    }
    table
}
