//! Where the greatest or the least element along a dimension is.

use super::columns::{Columns, Element, has_axis};
use super::{Input, Lowering, Rule, Tolerance, kind_of, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel};
use crate::shape::{Dim, TensorType};
use crate::tensor::{Data, Tensor};

/// The index of the greatest or the least element along a dimension. NaN is ahead of all numbers either way, and both zeros
/// are equal, as in NumPy.
///
/// Input: `x` of any rank but 0, f32 or i64. Output: i64, as `x` with the dimension `axis` 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgReduce {
    /// The greatest, else the least.
    pub largest: bool,
    /// The last among equals, else the first.
    pub last: bool,
    /// The dimension.
    pub axis: usize,
}

impl ArgReduce {
    fn of<T: Element>(&self, column: &[T]) -> i64 {
        let ahead = |a: T, b: T| match a.is_nan() || b.is_nan() {
            true => a.is_nan() && !b.is_nan(),
            false => {
                if self.largest {
                    a > b
                } else {
                    a < b
                }
            }
        };
        let better = |i: usize, best: usize| ahead(column[i], column[best]) || (self.last && !ahead(column[best], column[i]));
        (1..column.len()).fold(0, |best, i| if better(i, best) { i } else { best }) as i64
    }
}

impl Rule for ArgReduce {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("ArgReduce", inputs.to_vec())?;
        kind_of("ArgReduce", x)?;
        if !has_axis(x, self.axis) || x.shape.0[self.axis] == Dim::Const(0) {
            return Err(Error::shape("ArgReduce", format!("'x' {x} has no elements along a dimension {}", self.axis)));
        }
        let mut shape = x.shape.clone();
        shape.0[self.axis] = Dim::Const(1);
        Ok(vec![TensorType::new(DType::I64, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let columns = Columns::along(x.shape(), self.axis..self.axis + 1);
        let mut shape = x.shape().to_vec();
        shape[self.axis] = 1;
        let indices = match x.data() {
            Data::I64(v) => columns.map(v, 1, |column| vec![self.of(column)]),
            _ => columns.map(x.as_f32()?, 1, |column| vec![self.of(column)]),
        };
        Ok(vec![Tensor::i64(&shape, indices)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let columns = Columns::along(&x.shape, self.axis..self.axis + 1);
        let kernel = Kernel::new("arg_reduce").constant("FLOAT", (x.dtype == DType::F32).into());
        let kernel = kernel.constant("LARGEST", self.largest.into()).constant("LAST", self.last.into());
        // The key of NaN is at the end that wins.
        let kernel = kernel.constant("NAN_KEY", if self.largest { u32::MAX } else { 0 });
        let (kernel, grid) = columns.share(kernel, cx)?;
        cx.emit(Dispatch::new(kernel, columns.params(), grid).read(x.value).write(out.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        4 * inputs[0].iter().product::<usize>() as u64
    }
}
