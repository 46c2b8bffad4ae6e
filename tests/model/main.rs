//! Whole language models: what a step costs, limits, sequences, malformed files. Small models with random weights where
//! the weights do not matter.
#![cfg(feature = "text")]

#[path = "../support/devices.rs"]
mod devices;
#[path = "../support/gguf_writer.rs"]
mod gguf_writer;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tiny.rs"]
mod tiny;

mod malformed;
mod memory;
mod real;
mod sequences;
mod steps;
