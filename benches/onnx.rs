//! Real ONNX models as a whole: `cargo bench --bench onnx --features media`.
//!
//! The models are those of `scripts/fetch.sh` (ocr, vit-focus, silero-vad, basic-pitch, magika, onnx-light), the inputs the first
//! golden case of each; models that are not there are passed over. Of a stream the first call is a run. After `--`, words measure
//! only the cases that have all of them in their names, `--json` prints one JSON object instead of a table, and `--cpu` measures
//! the CPU reference too. `WAVELANE_NETS` names a folder whose ONNX files are measured too, each with inputs of 0.01 in the shapes that it
//! declares (1 where a dimension is open). `WAVELANE_DEVICE` picks the device. `benches/peers/onnxruntime.py` measures the same elsewhere.

#[path = "../tests/support/mod.rs"]
mod cache;
#[allow(dead_code)] // The outputs are not looked at.
#[path = "../tests/onnx_models/index.rs"]
mod index;
#[allow(dead_code)]
#[path = "../tests/onnx_models/inputs.rs"]
mod inputs;
mod support;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use support::table::{Cell, Table};
use support::{Arguments, Result, device, print_head, roofs};
use wavelane::formats::onnx::{Dim, ValueInfo, ValueKind};
use wavelane::gpu::Gpu;
use wavelane::measure::Effort;
use wavelane::measure::timing::Sample;
use wavelane::onnx::{Array, Session};
use wavelane::session::Device;
use wavelane::tensor::Tensor;

type Inputs = BTreeMap<String, Array>;

fn main() -> Result<()> {
    let arguments = Arguments::parse(&["--json", "--cpu"])?;
    let gpu = device()?;
    let roof = roofs(&gpu)?;
    if !arguments.json {
        print_head(gpu.info(), &roof);
        println!("medians of {} runs; `first` is the first run, which traces, uploads and makes pipelines\n", Effort::FULL.runs);
    }
    let columns = &[
        ("case", 26),
        ("file", 6),
        ("traced", 6),
        ("stages", 6),
        ("dispatches", 10),
        ("MiB", 7),
        ("first ms", 9),
        ("ms", 9),
        ("spread %", 8),
        ("CPU ms", 9),
    ];
    let mut table = Table::new(columns, arguments.json);
    let mut seen = HashSet::new();
    for case in index::cases().iter().filter(|case| seen.insert(case.model.clone()) && arguments.wants(&case.case)) {
        let Some(path) = cache::optional_model(&case.model, case.fetched_as()) else { continue };
        table.row(measure(&case.case, &path, &inputs::of_case(case), &gpu, arguments.cpu)?);
    }
    for path in nets()? {
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        if arguments.wants(&name) {
            let inputs = filled(&Session::load(&path, &Device::Cpu)?)?;
            table.row(measure(&name, &path, &inputs, &gpu, arguments.cpu)?);
        }
    }
    if arguments.json {
        println!("{}", json!({ "device": gpu.info(), "roof": roof, "cases": table.into_json() }));
    }
    Ok(())
}

/// The ONNX files in the folder that `WAVELANE_NETS` names.
fn nets() -> Result<Vec<PathBuf>> {
    let Some(folder) = std::env::var_os("WAVELANE_NETS") else { return Ok(Vec::new()) };
    let mut files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "onnx"));
    files.sort();
    Ok(files)
}

/// Inputs of 0.01 in the shapes that the model declares.
fn filled(session: &Session) -> Result<Inputs> {
    let one = |info: &ValueInfo| {
        let ValueKind::Tensor { ty, shape: Some(dims) } = &info.kind else { return Err("an input has no shape".into()) };
        let size = |dim: &Dim| if let Dim::Value(n) = dim { *n } else { 1 };
        let shape: Vec<usize> = dims.iter().map(size).collect();
        let tensor = Tensor::f32(&shape, vec![0.01; shape.iter().product()])?;
        Ok((info.name.clone(), Array { ty: *ty, tensor }))
    };
    session.inputs().map(one).collect()
}

/// One row of the table: nodes in the file, nodes of the traced graphs before any pass, their stages, dispatches of their plans,
/// memory, times.
fn measure(name: &str, path: &Path, inputs: &Inputs, gpu: &Gpu, cpu: bool) -> Result<Vec<Cell>> {
    let mut session = Session::load(path, &Device::Gpu(gpu.clone()))?;
    let (first, sample) = time(inputs, &mut session)?;
    let stages = session.stages().count();
    let dispatches: usize = session.stages().filter_map(|stage| stage.plan()).map(|plan| plan.dispatches().count()).sum();
    let bytes = session.bytes();
    let traced: usize = session.describe(inputs)?.iter().map(|stage| stage.traced).sum();
    let reference = match cpu {
        true => Cell::Number(time(inputs, &mut Session::load(path, &Device::Cpu)?)?.1.median * 1e3, 2),
        false => Cell::Absent,
    };
    Ok(vec![
        Cell::Text(name.to_owned()),
        Cell::Number(session.graph().nodes.len() as f64, 0),
        Cell::Number(traced as f64, 0),
        Cell::Number(stages as f64, 0),
        Cell::Number(dispatches as f64, 0),
        Cell::Number(bytes as f64 / f64::from(1 << 20), 1),
        Cell::Number(first * 1e3, 1),
        Cell::Number(sample.median * 1e3, 2),
        Cell::Number(sample.spread * 100.0, 1),
        reference,
    ])
}

/// Seconds of the first run, and of those after a second one, which warms up.
fn time(inputs: &Inputs, session: &mut Session) -> Result<(f64, Sample)> {
    let mut run = || {
        let started = Instant::now();
        session.run(inputs)?;
        Ok::<_, wavelane::Error>(started.elapsed().as_secs_f64())
    };
    let first = run()?;
    run()?;
    Ok((first, Sample::take(Effort::FULL.runs, run)?))
}
