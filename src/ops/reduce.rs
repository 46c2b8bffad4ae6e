//! Reductions along neighbouring dimensions.

use std::ops::Range;

use super::columns::Columns;
use super::fold::{Reduction, fold};
use super::{Input, Lowering, Rule, Tolerance, kind_of, operands};
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel};
use crate::shape::{Dim, TensorType};
use crate::tensor::{Data, Tensor};

/// The elements along neighbouring dimensions made into one. Input: `x` of any rank, f32 or i64. Output: as `x`, with the
/// dimensions `axes` 1; no dimensions at all reduce each element by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// What is made of them.
    pub kind: Reduction,
    /// The dimensions.
    pub axes: Range<usize>,
}

impl Rule for Reduce {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("Reduce", inputs.to_vec())?;
        kind_of("Reduce", x)?;
        let mut shape = x.shape.clone();
        let Some(reduced) = shape.0.get_mut(self.axes.clone()) else {
            return Err(Error::shape("Reduce", format!("'x' {x} has no dimensions {:?}", self.axes)));
        };
        reduced.fill(Dim::Const(1));
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let columns = Columns::along(x.shape(), self.axes.clone());
        let mut shape = x.shape().to_vec();
        shape[self.axes.clone()].fill(1);
        let data = match x.data() {
            Data::I64(v) => Data::I64(columns.map(v, 1, |column| vec![fold(self.kind, column.iter().copied())])),
            _ => {
                let total = |column: &[f32]| vec![fold(self.kind, column.iter().map(|x| f64::from(*x))) as f32];
                Data::F32(columns.map(x.as_f32()?, 1, total))
            }
        };
        Ok(vec![Tensor::new(&shape, data)?])
    }

    /// `Reduction::error`; integers are exact.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let operand = inputs[0].dense()?;
        let (Data::F32(x), Data::F32(out)) = (operand.data(), outputs[0].data()) else { return Ok(vec![Tolerance::Exact]) };
        let columns = Columns::along(operand.shape(), self.axes.clone());
        let terms = self.kind.magnitudes();
        let magnitudes = columns.map(x, 1, |column| vec![fold(terms, column.iter().map(|x| f64::from(*x)))]);
        let error = |(value, m): (&f32, f64)| self.kind.error(columns.len, m, *value);
        Ok(vec![Tolerance::Absolute(out.iter().zip(magnitudes).map(error).collect())])
    }

    fn extremes(&self) -> Extremes {
        self.kind.extremes()
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let columns = Columns::along(&x.shape, self.axes.clone());
        let (kernel, grid) = columns.share(self.kind.link(Kernel::new("reduce"), x.dtype), cx)?;
        cx.emit(Dispatch::new(kernel, columns.params(), grid).read(x.value).write(out.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        2 * inputs[0].iter().product::<usize>() as u64
    }
}
