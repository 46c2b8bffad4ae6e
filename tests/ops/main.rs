//! Every kernel variant against the CPU reference, on every device: cases x devices x families of variants.

#[path = "../support/devices.rs"]
mod devices;
mod harness;
#[path = "../support/random.rs"]
mod random;

mod attention;
mod batched;
mod bytes;
mod convolution;
mod cooperative;
mod dense_attention;
mod elementwise;
mod indexing;
mod indexing_examples;
mod onnx_reference;
mod products;
mod reductions;
mod resize;
mod rows;
mod sampling;
mod selection;
mod spatial;
mod views;
