//! Wavelane runs trained neural networks on any GPU through wgpu compute shaders, proven against a CPU reference.
#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod dtype;
pub mod error;
pub mod formats;
#[cfg(feature = "gate")]
pub mod gate;
#[cfg(feature = "text")]
pub mod generate;
pub mod gpu;
pub mod graph;
pub mod kernel;
pub mod measure;
#[cfg(any(feature = "audio", feature = "image"))]
pub mod media;
pub mod models;
pub mod onnx;
pub mod ops;
pub mod plan;
pub mod quant;
pub mod report;
pub mod session;
pub mod shape;
#[cfg(all(feature = "audio", feature = "image"))]
pub mod tasks;
pub mod tensor;
#[cfg(feature = "text")]
pub mod tokenizer;
#[cfg(feature = "gate")]
pub mod verify;

pub use dtype::DType;
pub use error::{Error, Result};
pub use onnx::Session;
