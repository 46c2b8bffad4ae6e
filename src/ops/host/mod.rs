//! Computations whose outputs' shapes depend on values, or that draw from given probabilities: plain functions on host tensors.
//!
//! No plan can hold them, since a plan's shapes are known before it runs; whoever runs a graph in pieces calls them in between.
//! The semantics are those of the ONNX operators of the same names (version 1.23.2).

mod compress;
mod non_max_suppression;
mod non_zero;
mod range;
mod sampling;
mod unique;

pub use compress::compress;
pub use non_max_suppression::{Suppression, non_max_suppression};
pub use non_zero::non_zero;
pub use range::range;
pub use sampling::multinomial;
pub use unique::{Unique, unique};

use crate::error::{Error, Result};

/// The most elements that a number among the inputs may ask for; tensors that large fit no device.
pub const MOST: usize = 1 << 30;

/// Refuses an output of more than [`MOST`] elements.
fn expect_at_most(op: &str, elements: Option<usize>) -> Result<usize> {
    let found = elements.filter(|n| *n <= MOST);
    found.ok_or_else(|| Error::shape(op, format!("the output would have more than {MOST} elements")))
}
