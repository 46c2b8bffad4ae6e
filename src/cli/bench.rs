//! `wavelane bench`: what a device can do, and what kernels and models make of it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use wavelane::formats::onnx::OnnxFile;
use wavelane::gpu::Gpu;
use wavelane::measure::kernels::{self, Scope};
use wavelane::measure::language::{self, LanguageOptions};
use wavelane::measure::onnx::{self, Unit};
use wavelane::measure::{Effort, ModelFigure, roof};
use wavelane::models::LanguageModel;
use wavelane::onnx::Session;
use wavelane::report::bench::compare;
use wavelane::report::{BenchReport, Table, page};
use wavelane::session::Device;
use wavelane::{DType, Error, Result};

use super::End;
use super::flags::{Cache, DeviceFlags};
use super::infer::{Reader, is_picture, is_sound, replace};
use super::inspect::{inputs_of_shapes, is_onnx};
use super::output::{Bar, print, say, value};

/// Arguments of `bench`.
#[derive(Args)]
pub struct Bench {
    /// A GGUF or ONNX file to measure; may be repeated.
    #[arg(short, long, value_name = "FILE")]
    model: Vec<PathBuf>,
    /// GGUF: tokens of a prompt, 0 for none; a list measures each.
    #[arg(short = 'p', long, value_name = "N,...", value_delimiter = ',', default_value = "512")]
    prompt: Vec<usize>,
    /// GGUF: tokens that are generated, 0 for none; a list measures each.
    #[arg(short = 'n', long, value_name = "N,...", value_delimiter = ',', default_value = "128")]
    generate: Vec<usize>,
    /// GGUF: sequences at once; a list measures each.
    #[arg(short = 'b', long, value_name = "N,...", value_delimiter = ',', default_value = "1")]
    batch: Vec<usize>,
    /// GGUF: element type of the key-value cache.
    #[arg(long, default_value = "f16")]
    cache: Cache,
    /// ONNX: an input, as of `infer`; may be repeated [default: zeros].
    #[arg(long, value_name = "[NAME=]FILE")]
    input: Vec<String>,
    /// ONNX: the shape of an input of zeros, such as x=1x3x224x224 [default: as declared, with 1 for open dimensions].
    #[arg(long, value_name = "NAME=DIMS", conflicts_with = "input")]
    shape: Vec<String>,
    /// ONNX: how pictures become inputs.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// ONNX: the rate to which sound is brought, in Hz.
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    rate: u32,
    /// Repeats of each test of a model [default: 5, and 2 in short form].
    #[arg(short, long, value_name = "N")]
    repeats: Option<usize>,
    #[command(flatten)]
    device: DeviceFlags,
    /// Measure only this; may be repeated [default: all].
    #[arg(long, value_name = "WHAT")]
    only: Vec<Section>,
    /// Measure little, only to see that everything works.
    #[arg(long)]
    quick: bool,
    /// How the report is printed.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Also write the report as JSON, for a later --compare.
    #[arg(long, value_name = "FILE.json")]
    save: Option<PathBuf>,
    /// Also write a page with charts; it needs nothing but a browser.
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Measure nothing, and set earlier reports beside one another.
    #[arg(long, value_name = "FILE.json", num_args = 1.., conflicts_with_all = ["model", "save", "quick", "only"])]
    compare: Vec<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    Roofs,
    Kernels,
    Models,
}

/// How a report is printed.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    #[value(alias = "md")]
    Markdown,
    Csv,
    Json,
}

impl Bench {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        if !self.compare.is_empty() {
            return self.show_comparison();
        }
        if self.repeats == Some(0) {
            return Err(Error::Request("--repeats 0: at least one".into()));
        }
        let Device::Gpu(gpu) = self.device.open()? else {
            return Err(Error::Request("the device 'cpu' is the reference; only GPUs are measured".into()));
        };
        let report = self.measure(&gpu)?;
        if let Some(path) = &self.save {
            replace(path, format!("{}\n", value(&report)?).as_bytes())?;
        }
        let name = report.device.name.clone();
        let reports = [(name, report)];
        if let Some(path) = &self.html {
            replace(path, page::of_bench(&reports).as_bytes())?;
        }
        self.show(&reports[0].1)?;
        Ok(End::Done)
    }

    fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }

    fn measure(&self, gpu: &Gpu) -> Result<BenchReport> {
        let (effort, scope) = match self.quick {
            true => (Effort::QUICK, Scope::Quick),
            false => (Effort::FULL, Scope::Typical),
        };
        let mut report = BenchReport::new(gpu.info(), self.quick);
        if self.wants(Section::Roofs) || self.wants(Section::Kernels) {
            let bar = Bar::new("roofs", false);
            let roofs = roof::measure(gpu, &effort, &mut |done, all| bar.set(done as u64, all as u64))?;
            drop(bar);
            if self.wants(Section::Kernels) {
                let bar = Bar::new("kernels", false);
                let mut progress = |done: usize, all: usize| bar.set(done as u64, all as u64);
                report.kernels = kernels::measure(gpu, &roofs, scope, &effort, &mut progress)?;
            }
            report.roofs = Some(roofs);
        }
        for path in self.model.iter().filter(|_| self.wants(Section::Models)) {
            let bar = Bar::new("model", false);
            let mut progress = |done: usize, all: usize| bar.set(done as u64, all as u64);
            let figure =
                if is_onnx(path) { self.onnx(gpu, path, &mut progress) } else { self.language(gpu, path, &mut progress) };
            report.models.push(figure?);
        }
        Ok(report)
    }

    fn repeats(&self) -> usize {
        self.repeats.unwrap_or(if self.quick { 2 } else { 5 })
    }

    fn language(&self, gpu: &Gpu, path: &Path, progress: wavelane::measure::Progress<'_>) -> Result<ModelFigure> {
        let model = LanguageModel::open(path)?;
        let options = LanguageOptions {
            prompts: self.prompt.clone(),
            generated: self.generate.clone(),
            batches: self.batch.clone(),
            repeats: self.repeats(),
            cache: if let Cache::F16 = self.cache { DType::F16 } else { DType::F32 },
            ..LanguageOptions::default()
        };
        language::measure(gpu, &file_name(path), &model, &options, progress)
    }

    fn onnx(&self, gpu: &Gpu, path: &Path, progress: wavelane::measure::Progress<'_>) -> Result<ModelFigure> {
        let model = OnnxFile::open(path)?.model;
        let mut session = Session::new(model, &Device::Gpu(gpu.clone()))?;
        let inputs = match self.input.is_empty() {
            true => inputs_of_shapes(&session, &self.shape)?,
            false => Reader::new(&session, self.preset.as_deref(), self.rate)?.read_all(&self.input)?,
        };
        let given = |is: fn(&Path) -> bool| self.input.iter().any(|text| is(Path::new(text)));
        // Of zeros, four dimensions of which the second are colours are pictures.
        let images = inputs.values().find_map(|array| match array.tensor.shape() {
            [n, 1 | 3, _, _] if self.input.is_empty() || given(is_picture) => Some(*n),
            _ => None,
        });
        let samples = || inputs.values().map(|array| array.tensor.len()).max().unwrap_or(0);
        let unit = match images {
            _ if given(is_sound) => Unit::Audio(samples() as f64 / f64::from(self.rate.max(1))),
            Some(n) => Unit::Images(n),
            None => Unit::Run,
        };
        onnx::measure(&mut session, &file_name(path), &inputs, unit, self.repeats(), progress)
    }

    fn show(&self, report: &BenchReport) -> Result<()> {
        match self.output {
            Format::Json => print(format_args!("{}\n", value(report)?)),
            Format::Csv => print(report.flat_table().to_csv()),
            Format::Table => {
                print(format_args!("{}\n", report.headline()))?;
                report.tables().iter().try_for_each(|(title, table)| print(format_args!("\n{title}\n\n{}", table.to_text())))
            }
            Format::Markdown => {
                print(format_args!("{}\n", report.headline()))?;
                report
                    .tables()
                    .iter()
                    .try_for_each(|(title, table)| print(format_args!("\n## {title}\n\n{}", table.to_markdown())))
            }
        }
    }

    fn show_comparison(&self) -> Result<End> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, BenchReport::from_json(&text, &path.display().to_string())?))
        };
        let reports = self.compare.iter().map(read).collect::<Result<Vec<_>>>()?;
        if let Some(path) = &self.html {
            replace(path, page::of_bench(&reports).as_bytes())?;
        }
        for (name, report) in &reports {
            say(format_args!("{name}: {}", report.headline()));
        }
        let table: Table = compare(&reports);
        match self.output {
            Format::Table => print(table.to_text())?,
            Format::Markdown => print(table.to_markdown())?,
            Format::Csv => print(table.to_csv())?,
            Format::Json => {
                let list: Vec<_> = reports.iter().map(|(_, report)| value(report)).collect::<Result<_>>()?;
                print(format_args!("{}\n", serde_json::Value::Array(list)))?;
            }
        }
        Ok(End::Done)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
