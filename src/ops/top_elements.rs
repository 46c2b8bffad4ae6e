//! The k greatest or least elements along a dimension, in order: a sort, where k is all of them.

use super::columns::{Columns, Element};
use super::{Input, Lowering, Rule, Tolerance, kind_of, operands, top_k};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Extremes, Kernel};
use crate::shape::{Dim, TensorType};
use crate::tensor::{Data, Tensor};

/// The `k` greatest along a dimension, the greatest first, or the `k` least, the least first; among equals the lower index
/// first. NaN is greater than all numbers, and both zeros are equal (a device may return either).
///
/// Input: `x` of any rank but 0, f32 or i64. Outputs: values of its type and indices i64, both as `x` with the dimension
/// `axis` `k`.
#[derive(Clone, Debug, PartialEq)]
pub struct TopElements {
    /// How many.
    pub k: usize,
    /// The dimension.
    pub axis: usize,
    /// The greatest, else the least.
    pub largest: bool,
}

impl TopElements {
    /// The indices of a column's elements that are wanted.
    fn of<T: Element>(&self, column: &[T]) -> Vec<i64> {
        let mut order: Vec<i64> = (0..column.len() as i64).collect();
        // A stable sort keeps the lower index first.
        order.sort_by(|a, b| {
            let order = column[*a as usize].order(column[*b as usize]);
            if self.largest { order.reverse() } else { order }
        });
        order.truncate(self.k);
        order
    }

    fn columns(&self, shape: &[usize]) -> Columns {
        Columns::along(shape, self.axis..self.axis + 1)
    }
}

impl Rule for TopElements {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("TopElements", inputs.to_vec())?;
        kind_of("TopElements", x)?;
        if x.shape.0.get(self.axis).and_then(Dim::constant).is_none_or(|n| n < self.k) {
            return Err(Error::shape("TopElements", format!("cannot take {} of {x} along dimension {}", self.k, self.axis)));
        }
        let mut shape = x.shape.clone();
        shape.0[self.axis] = self.k.into();
        Ok(vec![TensorType::new(x.dtype, shape.clone()), TensorType::new(DType::I64, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let columns = self.columns(x.shape());
        let mut shape = x.shape().to_vec();
        shape[self.axis] = self.k;
        fn pairs<T: Element + Default>(op: &TopElements, columns: &Columns, x: &[T]) -> (Vec<T>, Vec<i64>) {
            columns
                .map(x, op.k, |column| op.of(column).into_iter().map(|i| (column[i as usize], i)).collect())
                .into_iter()
                .unzip()
        }
        let (values, indices) = match x.data() {
            Data::I64(v) => {
                let (values, indices) = pairs(self, &columns, v);
                (Data::I64(values), indices)
            }
            _ => {
                let (values, indices) = pairs(self, &columns, x.as_f32()?);
                (Data::F32(values), indices)
            }
        };
        Ok(vec![Tensor::new(&shape, values)?, Tensor::i64(&shape, indices)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact, Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let columns = self.columns(&cx.inputs[0].shape);
        let kernel = Kernel::new("top_k").constant("LARGEST", self.largest.into()).constant("NAN_KEY", u32::MAX);
        top_k::lower(cx, &columns, self.k, kernel)
    }

    /// Six walks through each column, then the comparisons of a bitonic sort.
    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let elements = inputs[0].iter().product::<usize>() as u64;
        let found = outputs[0].iter().product::<usize>() as u64;
        let depth = u64::from(self.k.next_power_of_two().ilog2());
        12 * elements + 2 * found * depth * (depth + 1)
    }
}
