//! Running totals along a dimension.

use super::columns::{Columns, has_axis};
use super::fold::{Reduction, Total};
use super::{Input, Lowering, Rule, Tolerance, kind_of, operands};
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel};
use crate::shape::TensorType;
use crate::tensor::{Data, Tensor};

/// `out[i]` is the total of `x[0] .. x[i]` along a dimension. Input: `x` of any rank but 0, f32 or i64. Output: as `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cumulative {
    /// What is made of them.
    pub kind: Reduction,
    /// The dimension.
    pub axis: usize,
    /// Without `x[i]` itself; the first is then the total of nothing, so that there is no greatest and no least.
    pub exclusive: bool,
    /// From the last element down.
    pub reverse: bool,
}

impl Cumulative {
    fn of<T: Total>(&self, column: impl DoubleEndedIterator<Item = T>) -> Vec<T> {
        let mut total = T::start(self.kind);
        let running = |x: T| {
            let before = total;
            total = total.join(x.term(self.kind), self.kind);
            if self.exclusive { before } else { total }
        };
        if self.reverse {
            let mut out: Vec<T> = column.rev().map(running).collect();
            out.reverse();
            return out;
        }
        column.map(running).collect()
    }
}

impl Rule for Cumulative {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("Cumulative", inputs.to_vec())?;
        kind_of("Cumulative", x)?;
        if !has_axis(x, self.axis) {
            return Err(Error::shape("Cumulative", format!("'x' {x} has no dimension {}", self.axis)));
        }
        if self.exclusive && matches!(self.kind, Reduction::Max | Reduction::Min) {
            return Err(Error::shape("Cumulative", format!("nothing of 'x' {x} has no {:?}", self.kind)));
        }
        Ok(vec![x.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let columns = Columns::along(x.shape(), self.axis..self.axis + 1);
        let data = match x.data() {
            Data::I64(v) => Data::I64(columns.map(v, columns.len, |column| self.of(column.iter().copied()))),
            _ => {
                let floats = |column: &[f32]| self.of(column.iter().map(|x| f64::from(*x)));
                let rounded = |column: &[f32]| floats(column).into_iter().map(|total| total as f32).collect();
                Data::F32(columns.map(x.as_f32()?, columns.len, rounded))
            }
        };
        Ok(vec![Tensor::new(x.shape(), data)?])
    }

    /// `Reduction::error` of the terms that each total is made of; integers are exact.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let operand = inputs[0].dense()?;
        let (Data::F32(x), Data::F32(out)) = (operand.data(), outputs[0].data()) else { return Ok(vec![Tolerance::Exact]) };
        let columns = Columns::along(operand.shape(), self.axis..self.axis + 1);
        let terms = Cumulative { kind: self.kind.magnitudes(), ..self.clone() };
        let magnitudes = columns.map(x, columns.len, |column| terms.of(column.iter().map(|x| f64::from(*x))));
        let error = |(value, m): (&f32, f64)| self.kind.error(columns.len, m, *value);
        Ok(vec![Tolerance::Absolute(out.iter().zip(magnitudes).map(error).collect())])
    }

    fn extremes(&self) -> Extremes {
        self.kind.extremes()
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let columns = Columns::along(&x.shape, self.axis..self.axis + 1);
        let (kernel, grid) = columns.share(self.kind.link(Kernel::new("cumulative"), x.dtype), cx)?;
        let kernel = kernel.constant("EXCLUSIVE", self.exclusive.into()).constant("REVERSE", self.reverse.into());
        cx.emit(Dispatch::new(kernel, columns.params(), grid).read(x.value).write(out.value));
        Ok(())
    }

    /// Where several invocations share a column, each element is read twice.
    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        4 * inputs[0].iter().product::<usize>() as u64
    }
}
