//! Measurements of a device, of kernels and of models.

pub mod kernels;
pub mod language;
pub mod onnx;
pub mod repeat;
pub mod roof;
pub mod timing;

pub use kernels::KernelFigure;
pub use roof::Roofs;

use serde::{Deserialize, Serialize};

use crate::gpu::Memory;
use crate::gpu::profile::Profile;

/// How thoroughly is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Effort {
    /// Seconds that a timed run should last at least.
    pub least: f64,
    /// Timed runs behind every median.
    pub runs: usize,
    /// Bytes of the largest buffer that is read and written; it should leave every cache.
    pub largest: u64,
}

impl Effort {
    /// For figures that are to be relied on.
    pub const FULL: Effort = Effort { least: 0.05, runs: 5, largest: 256 << 20 };
    /// For seeing that everything works, in a few seconds.
    pub const QUICK: Effort = Effort { least: 0.004, runs: 3, largest: 16 << 20 };
}

/// A model, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFigure {
    /// The file's name.
    pub model: String,
    /// Bytes of its weights, as the file has them.
    pub weight_bytes: u64,
    /// The number of its weights' elements, where the format tells.
    pub parameters: Option<u64>,
    /// Device memory when it was most; none in reports of older versions.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// What was timed.
    pub tests: Vec<TestFigure>,
    /// Where the time of its runs goes.
    pub parts: Vec<Part>,
}

/// What was timed of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestFigure {
    /// Such as `pp512`, a prompt of 512 tokens, `tg128`, 128 tokens one after another, or `tg128 x4`, in four sequences at once.
    pub test: String,
    /// What is counted: `tok/s`, `images/s`, `s of audio/s` or `runs/s`.
    pub unit: String,
    /// The mean over the repeats.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// What each repeat showed.
    pub samples: Vec<f64>,
}

impl TestFigure {
    /// The figure of repeats that showed `samples`.
    pub fn new(test: String, unit: &str, samples: Vec<f64>) -> Self {
        let (mean, deviation) = timing::mean_and_deviation(&samples);
        TestFigure { test, unit: unit.to_owned(), mean, deviation, samples }
    }
}

/// One plan of a model, profiled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What it is, such as `decode step at position 128`.
    pub name: String,
    /// Where its time goes.
    pub profile: Profile,
}

/// Told how far a measurement is: steps done, and all.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// Token ids of a text without meaning: the same for every model with such a vocabulary.
pub fn tokens(n: usize, vocabulary: usize) -> Vec<u32> {
    // Multiples of a prime far above any word's length, so that neighbours have nothing to do with each other.
    (1..=n).map(|i| (i * 7919 % vocabulary.max(1)) as u32).collect()
}
