//! Elementwise ops: one scalar expression over operands of one shape (residual add, SwiGLU, GeGLU, ...).

use super::{Input, Lowering, Rule, Tolerance, expect, expect_shape};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::expr::Function;
use crate::kernel::{Dispatch, Expr, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::TensorType;
use crate::tensor::Tensor;

/// `out[i] = expr(inputs[0][i], inputs[1][i], ...)`. Inputs: f32 of one shape, as many as the expression names.
#[derive(Clone, Debug, PartialEq)]
pub struct Elementwise {
    /// The expression; operand `i` is input `i`.
    pub expr: Expr,
}

impl Elementwise {
    /// `a + b`.
    pub fn add() -> Self {
        Elementwise { expr: Expr::sum(Expr::operand(0), Expr::operand(1)) }
    }

    /// `function(gate) * up`, with the inputs `gate` and `up`: SwiGLU with SiLU, GeGLU with GELU (arXiv:2002.05202).
    pub fn gated(function: Function) -> Self {
        Elementwise { expr: Expr::product(Expr::call(function, Expr::operand(0)), Expr::operand(1)) }
    }
}

impl Rule for Elementwise {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let n = self.expr.operands() as usize;
        if inputs.len() != n || n == 0 {
            return Err(Error::shape("Elementwise", format!("'{}' takes {n} operands, got {}", self.expr, inputs.len())));
        }
        for (i, input) in inputs.iter().enumerate() {
            expect("Elementwise", &format!("x{i}"), input, DType::F32, inputs[0].shape.rank())?;
            expect_shape("Elementwise", &format!("x{i}"), input, &inputs[0].shape)?;
        }
        Ok(vec![inputs[0].clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let values = inputs.iter().map(|t| t.tensor()?.as_f32()).collect::<Result<Vec<_>>>()?;
        let out = (0..values[0].len()).map(|i| self.expr.eval(&|o| values[o as usize][i])).collect();
        Ok(vec![Tensor::f32(inputs[0].tensor()?.shape(), out)?])
    }

    /// What [`Expr::bound`] makes of exact operands.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let values = inputs.iter().map(|t| t.tensor()?.as_f32()).collect::<Result<Vec<_>>>()?;
        let bound = |i: usize| self.expr.bound(&|o| values[o as usize][i], &|_| 0.0).1;
        Ok(vec![Tolerance::Absolute((0..values[0].len()).map(bound).collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let out = &cx.outputs[0];
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let kernel = Kernel::new("elementwise").tail(self.expr.clone());
        let mut dispatch = Dispatch::new(kernel, vec![out.len() as u32], grid).read(cx.inputs[0].value).write(out.value);
        for other in &cx.inputs[1..] {
            dispatch = dispatch.tail_operand(other.value);
        }
        cx.emit(dispatch);
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        (inputs.len() * outputs[0].iter().product::<usize>()) as u64
    }
}
