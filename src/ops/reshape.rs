//! Another shape for the same elements, without a copy.

use std::sync::Arc;

use super::{Input, Lowering, Rule, Tolerance, operands};
use crate::error::{Error, Result};
use crate::kernel::Extremes;
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::Tensor;

/// The elements of `x` in row-major order under another shape. The output lies where the input does.
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    /// The dimensions of the output.
    pub shape: Vec<usize>,
}

impl Rule for Reshape {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("Reshape", inputs.to_vec())?;
        let count = x.shape.0.iter().map(Dim::constant).try_fold(1usize, |n, d| n.checked_mul(d?));
        if count.is_none() || count != self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) {
            return Err(Error::shape("Reshape", format!("{x} cannot have the shape {:?}", self.shape)));
        }
        Ok(vec![TensorType::new(x.dtype, Shape::from(&self.shape[..]))])
    }

    fn reference(&self, mut inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let tensor = match inputs.remove(0) {
            Input::Tensor(t) => Arc::unwrap_or_clone(t),
            Input::Weight(w) => w.to_tensor()?,
        };
        Ok(vec![tensor.reshaped(&self.shape)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, _: &mut Lowering<'_>) -> Result<()> {
        Ok(())
    }

    fn aliases(&self) -> Option<usize> {
        Some(0)
    }

    fn flops(&self, _: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        0
    }
}
