//! burn through wgpu on what `cargo bench --bench kernels` measures of us: one JSON object of milliseconds per kernel, under our names.
//!
//! `cargo run --release --manifest-path benches/peers/burn/Cargo.toml [-- WORD]` measures the kernels with that word in their
//! name. The device is wgpu's default. burn chooses among its kernels while it runs for the first time, which takes seconds.

use std::time::Instant;

use burn::tensor::activation::{relu, softmax};
use burn::tensor::module::{conv2d, layer_norm};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceKind, Distribution, Tensor};
use serde_json::{Map, Value, json};

/// Measurements of which the median counts, and how long one should take at least, in seconds.
const RUNS: usize = 5;
const LASTING: f64 = 0.1;

/// Times kernels on a device.
struct Bench {
    device: Device,
    word: String,
    figures: Map<String, Value>,
}

impl Bench {
    fn random<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Default, &self.device)
    }

    /// Notes the time of `f`, whose result is kept until the device is done: what nobody holds is never computed.
    fn time<const D: usize>(&mut self, name: &str, f: impl Fn() -> Tensor<D>) {
        if !name.contains(&self.word) {
            return;
        }
        let run = |repetitions: usize| {
            let started = Instant::now();
            for _ in 0..repetitions {
                let result = f();
                self.device.sync().expect("the device runs");
                drop(result);
            }
            started.elapsed().as_secs_f64() / repetitions as f64
        };
        // The first chooses the kernel, the second may still compile.
        run(1);
        run(1);
        let repetitions = (LASTING / run(1)).ceil().clamp(1.0, 100.0) as usize;
        let mut times: Vec<f64> = (0..RUNS).map(|_| run(repetitions)).collect();
        times.sort_by(f64::total_cmp);
        let spread = (times[RUNS - 1] - times[0]) / times[RUNS / 2];
        self.figures.insert(name.into(), json!({ "ms": times[RUNS / 2] * 1e3, "spread": spread }));
    }
}

fn main() {
    let word = std::env::args().nth(1).unwrap_or_default();
    let mut bench = Bench { device: Device::wgpu(DeviceKind::DefaultDevice), word, figures: Map::new() };

    let (a, b) = (bench.random([1024, 1024]), bench.random([1024, 1024]));
    bench.time("a b 1024x1024 T=1024", || a.clone().matmul(b.clone()));
    bench.time("a b^T 1024x1024 T=1024", || a.clone().matmul(b.clone().transpose()));

    let (a, b) = (bench.random([1, 4096]), bench.random([4096, 4096]));
    bench.time("a b 4096x4096 T=1", || a.clone().matmul(b.clone()));
    bench.time("a b^T 4096x4096 T=1", || a.clone().matmul(b.clone().transpose()));

    let (x, weight) = (bench.random([1, 64, 56, 56]), bench.random([64, 64, 3, 3]));
    let same = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    bench.time("convolution 64->64 3x3/1 56x56", || conv2d(x.clone(), weight.clone(), None, same()));

    let x = bench.random([512, 1024]);
    let (gain, bias) = (Tensor::ones([1024], &bench.device), Tensor::zeros([1024], &bench.device));
    bench.time("softmax 512x1024", || softmax(x.clone(), 1));
    bench.time("layer_norm 512x1024", || layer_norm(x.clone(), gain.clone(), Some(bias.clone()), 1e-5));

    let (x, y) = (bench.random([2048, 2048]), bench.random([2048, 2048]));
    bench.time("relu(x y + x) 2048x2048", || relu(x.clone() * y.clone() + x.clone()));

    println!("{}", Value::Object(bench.figures));
}
