//! wonnx on ONNX files whose only input is an image of the name `data`, as `nets.py` writes them: one JSON object of milliseconds per
//! file, the median of five runs after two others.
//!
//! `cargo run --release --manifest-path benches/peers/wonnx/Cargo.toml -- FILE:SIZE...`, where the image is of SIZE x SIZE pixels.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};
use wonnx::Session;
use wonnx::utils::InputTensor;

const WARM: usize = 2;
const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut figures = Map::new();
    for argument in std::env::args().skip(1) {
        let (file, size) = argument.rsplit_once(':').ok_or("FILE:SIZE is expected")?;
        let size: usize = size.parse()?;
        let image: Vec<f32> = (0..3 * size * size).map(|i| (i % 97) as f32 / 97.0).collect();
        let session = pollster::block_on(Session::from_path(file))?;
        let mut times = Vec::new();
        for _ in 0..WARM + RUNS {
            let inputs = HashMap::from([("data".to_owned(), InputTensor::from(&image[..]))]);
            let started = Instant::now();
            let results = pollster::block_on(session.run(&inputs))?;
            times.push(started.elapsed().as_secs_f64());
            assert_eq!(results.len(), 1, "results of {file}");
        }
        let times = &mut times[WARM..];
        times.sort_by(f64::total_cmp);
        let spread = (times[RUNS - 1] - times[0]) / times[RUNS / 2];
        let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        figures.insert(name, json!({ "ms": times[RUNS / 2] * 1e3, "spread": spread }));
    }
    println!("{}", Value::Object(figures));
    Ok(())
}
