//! Readers of model files. They hand out names, shapes, metadata and bytes; what the tensors mean is for `models` to say.
//!
//! Files are memory-mapped and weights stay in the map until they are streamed to a device. Every count, size and offset
//! of a file is checked against the bytes that are there before anything is allocated or sliced by it.

pub mod element;
pub mod gguf;
mod map;
mod minifloat;
pub mod npy;
pub mod onnx;
pub mod safetensors;

pub use element::ElementType;
pub use gguf::Gguf;
pub use safetensors::SafeTensors;
