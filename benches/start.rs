//! What passes until a language model's first token: `cargo bench --bench start --features cli`.
//!
//! Starts of the binary as a user makes them, one after another: the first finds empty caches (ours, and Mesa's of compiled kernels),
//! the next ones what the ones before left there, until nothing is left to learn: which kernels are right and fast is found out
//! in a second or two of each. The last row is the median of five starts that follow. The model, in the page cache from the first look at it, is
//! `WAVELANE_MODEL`, as for `language`; `WAVELANE_DEVICE` picks the device.

#[path = "../tests/support/mod.rs"]
mod models;
mod support;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::table::{Cell, Table};
use support::{Arguments, Result};
use wavelane::measure::Effort;

/// Most starts that may learn something, and the seconds of proving and tuning below which one did not.
const LEARNING: usize = 40;
const NOTHING: f64 = 0.1;
/// The parts of a start, as `wavelane run --json` names them.
const PARTS: [&str; 10] =
    ["seconds", "file", "device", "planning", "upload", "pipelines", "proving", "tuning", "binding", "running"];

fn main() -> Result<()> {
    let arguments = Arguments::parse(&["--json"])?;
    let Some(model) = models::model_path() else { return Ok(()) };
    let caches = std::env::temp_dir().join(format!("wavelane-start-{}", std::process::id()));
    let columns = &[
        ("start", 6),
        ("first token ms", 14),
        ("file", 5),
        ("device", 6),
        ("planning", 8),
        ("upload", 6),
        ("pipelines", 9),
        ("proving", 7),
        ("tuning", 6),
        ("binding", 7),
        ("running", 7),
    ];
    std::fs::read(&model)?;
    let mut table = Table::new(columns, arguments.json);
    let mut row = |name: String, parts: [f64; PARTS.len()]| {
        table.row([Cell::Text(name)].into_iter().chain(parts.map(|seconds| Cell::Number(seconds * 1e3, 0))).collect());
    };
    for start in 1..=LEARNING {
        let parts = first_token(&model, &caches)?;
        row(start.to_string(), parts);
        let seconds = |part| PARTS.iter().position(|name| *name == part).map_or(0.0, |i| parts[i]);
        if seconds("proving") + seconds("tuning") < NOTHING {
            break;
        }
    }
    let warm = (0..Effort::FULL.runs).map(|_| first_token(&model, &caches)).collect::<Result<Vec<_>>>()?;
    row("warm".into(), std::array::from_fn(|part| median(warm.iter().map(|parts| parts[part]).collect())));
    std::fs::remove_dir_all(&caches)?;
    if arguments.json {
        println!("{}", json!({ "starts": table.into_json() }));
    }
    Ok(())
}

/// Seconds of the parts of a start.
fn first_token(model: &Path, caches: &Path) -> Result<[f64; PARTS.len()]> {
    let output = Command::new(env!("CARGO_BIN_EXE_wavelane"))
        .arg("run")
        .arg(model)
        .args(["Name a river and a mountain.", "--max-tokens", "1", "--json"])
        .env("WAVELANE_CACHE", caches.join("wavelane"))
        .env("MESA_SHADER_CACHE_DIR", caches.join("mesa"))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let seconds = |part: &str| report["start"][part].as_f64().ok_or_else(|| format!("no '{part}' in the report of a start"));
    let parts: Vec<f64> = PARTS.iter().map(|part| seconds(part)).collect::<std::result::Result<_, _>>()?;
    Ok(std::array::from_fn(|part| parts[part]))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
