//! Real ONNX models as a whole: `cargo bench --bench onnx --features media`.
//!
//! The models are those of `scripts/fetch.sh` (ocr, vit-focus, silero-vad, basic-pitch, magika, onnx-light), the inputs the first
//! golden case of each; models that are not there are passed over. Of a stream the first call is a run. After `--`, words measure
//! only the cases that have all of them in their names, `--json` prints one JSON object instead of a table, and `--cpu` measures
//! the CPU reference too. `WAVELANE_DEVICE` picks the device. `benches/peers/onnxruntime.py` measures the same elsewhere.

#[path = "../tests/support/mod.rs"]
mod cache;
#[allow(dead_code)] // The outputs are not looked at.
#[path = "../tests/onnx_models/index.rs"]
mod index;
#[allow(dead_code)]
#[path = "../tests/onnx_models/inputs.rs"]
mod inputs;
mod support;

use std::collections::HashSet;
use std::time::Instant;

use index::Case;
use serde_json::json;
use support::table::{Cell, Table};
use support::timing::{RUNS, Sample};
use support::{Arguments, Result, device, print_head, roof};
use wavelane::onnx::Session;
use wavelane::session::Device;

fn main() -> Result<()> {
    let arguments = Arguments::parse(&["--json", "--cpu"])?;
    let gpu = device()?;
    let roof = roof::measure(gpu.info())?;
    if !arguments.json {
        print_head(gpu.info(), &roof);
        println!("medians of {RUNS} runs; `first` is the first run, which traces, uploads and makes pipelines\n");
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
        if let Some(row) = measure(case, &Device::Gpu(gpu.clone()), arguments.cpu)? {
            table.row(row);
        }
    }
    if arguments.json {
        println!("{}", json!({ "device": gpu.info(), "roof": roof, "cases": table.into_json() }));
    }
    Ok(())
}

/// One row of the table: nodes in the file, nodes of the traced graphs before any pass, their stages, dispatches of their plans,
/// memory, times.
fn measure(case: &Case, device: &Device, cpu: bool) -> Result<Option<Vec<Cell>>> {
    let Some(path) = cache::optional_model(&case.model, case.fetched_as()) else { return Ok(None) };
    let mut session = Session::load(&path, device)?;
    let (first, sample) = time(case, &mut session)?;
    let traced: usize = session.describe(&inputs::of_case(case))?.iter().map(|stage| stage.traced).sum();
    let dispatches: usize = session.stages().filter_map(|stage| stage.plan()).map(|plan| plan.dispatches().count()).sum();
    let reference = match cpu {
        true => Cell::Number(time(case, &mut Session::load(&path, &Device::Cpu)?)?.1.median * 1e3, 2),
        false => Cell::Absent,
    };
    Ok(Some(vec![
        Cell::Text(case.case.clone()),
        Cell::Number(session.graph().nodes.len() as f64, 0),
        Cell::Number(traced as f64, 0),
        Cell::Number(session.stages().count() as f64, 0),
        Cell::Number(dispatches as f64, 0),
        Cell::Number(session.bytes() as f64 / f64::from(1 << 20), 1),
        Cell::Number(first * 1e3, 1),
        Cell::Number(sample.median * 1e3, 2),
        Cell::Number(sample.spread * 100.0, 1),
        reference,
    ]))
}

/// Seconds of the first run, and of those after a second one, which warms up.
fn time(case: &Case, session: &mut Session) -> Result<(f64, Sample)> {
    let inputs = inputs::of_case(case);
    let mut run = || {
        let started = Instant::now();
        session.run(&inputs)?;
        Ok(started.elapsed().as_secs_f64())
    };
    let first = run()?;
    run()?;
    Ok((first, Sample::take(run)?))
}
