//! `tests/data/onnx/goldens/index.json`: the cases, each a model with inputs and what onnxruntime made of them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The folder of the goldens.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx/goldens")
}

/// All cases, in the order of the file.
pub fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Index {
        cases: Vec<Case>,
    }
    let text = std::fs::read_to_string(folder().join("index.json")).unwrap();
    serde_json::from_str::<Index>(&text).unwrap().cases
}

/// A model run once, or call by call for a stream.
#[derive(Deserialize)]
pub struct Case {
    /// The name, also of the case's npz.
    pub case: String,
    /// The file below the cache folder.
    pub model: String,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    /// What the first output says, read as characters.
    #[serde(default)]
    pub texts: Vec<String>,
    /// What the first output says, read as classes.
    #[serde(default)]
    pub labels: Vec<String>,
}

impl Case {
    /// What `scripts/fetch.sh` calls the model.
    pub fn fetched_as(&self) -> &str {
        self.model.split_once('/').map_or("vit-focus", |(folder, _)| folder)
    }
}

/// An input by its name.
#[derive(Deserialize)]
pub struct Input {
    pub name: String,
    #[serde(flatten)]
    pub content: Content,
}

/// How an input is made; `formats` in the file explains each.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Content {
    Pixels { file: String, crops: Vec<[usize; 2]>, height: usize, width: usize, channels: String, mean: [f32; 3], std: [f32; 3] },
    Samples { files: Vec<String>, shape: [usize; 3] },
    Array { dtype: String },
    Scalar { dtype: String, value: i64 },
    Stream(Stream),
}

/// Chunks of a recording, call by call, with a state that is handed on.
#[derive(Deserialize)]
pub struct Stream {
    pub file: String,
    pub step: usize,
    pub chunk: usize,
    pub context: usize,
    pub starts: Vec<usize>,
    pub calls: Vec<usize>,
    /// By input the output that it becomes.
    pub state: std::collections::BTreeMap<String, String>,
    pub state_shape: Vec<usize>,
}

/// An output of the model, or a value inside it.
#[derive(Deserialize)]
pub struct Output {
    pub name: String,
    pub shape: Vec<usize>,
    /// Absolute.
    pub tolerance: f32,
    /// Whether the file's graph does not yield it.
    #[serde(default)]
    pub tap: bool,
    /// Whether the outputs of all calls are joined along axis 0.
    #[serde(default)]
    pub stacked: bool,
}
