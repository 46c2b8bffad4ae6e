//! Elementwise ops: one scalar expression over operands that are broadcast to one shape.

use rayon::prelude::*;

use super::lowering::BUSY;
use super::{Input, Lowering, Rule, Strided, Tolerance, kind, kind_of, tail};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::expr::{Function, Kind, Operator, Scalar};
use crate::kernel::{Access, Dispatch, Expr, Extremes, Kernel, LINEAR_WORKGROUP, Tail, TailOperand, linear_grid};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::{Data, Tensor};

/// `out[i] = expr(inputs[0][i], inputs[1][i], ...)`. Inputs: f32 or i64, as many as the expression names, broadcast as NumPy
/// does: shapes are aligned at their last dimensions, and a dimension of 1 goes with any. An input may be read through a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Elementwise {
    /// The expression; operand `i` is input `i`.
    pub expr: Expr,
    /// What the operands are of the inputs, where they are not these as they lie; empty where all are.
    pub views: Vec<Option<Strided>>,
}

impl From<Expr> for Elementwise {
    /// Of operands that are the inputs.
    fn from(expr: Expr) -> Self {
        Elementwise { expr, views: Vec::new() }
    }
}

impl Elementwise {
    /// The expression, where the operands are the inputs as they lie.
    pub fn plain(&self) -> Option<&Expr> {
        self.views.iter().all(Option::is_none).then_some(&self.expr)
    }

    /// What operand `i` is of an input of shape `x`.
    fn operand(&self, i: usize, x: &[usize]) -> Strided {
        self.views.get(i).cloned().flatten().unwrap_or_else(|| Strided::of(x))
    }

    /// How far each element may be off where element `i` of the first operand, which has the output's shape, is off by `first(i)`.
    pub(super) fn bounds(&self, inputs: &[Input], first: &(impl Fn(usize) -> f32 + Sync)) -> Result<Vec<f32>> {
        let operands = Operands::new(self, inputs)?;
        let bound = |i: usize| self.expr.bound(&|o| operands.at(o, i), &|o| if o == 0 { first(i) } else { 0.0 }).1;
        Ok((0..operands.len()).into_par_iter().map(bound).collect())
    }

    /// `a + b`.
    pub fn add() -> Self {
        Expr::sum(Expr::operand(0), Expr::operand(1)).into()
    }

    /// `function(gate) * up`, with the inputs `gate` and `up`: SwiGLU with SiLU, GeGLU with GELU (arXiv:2002.05202).
    pub fn gated(function: Function) -> Self {
        Expr::product(Expr::call(function, Expr::operand(0)), Expr::operand(1)).into()
    }

    /// `function(x)`.
    pub fn unary(function: Function) -> Self {
        Expr::call(function, Expr::operand(0)).into()
    }

    /// `operator(a, b)`.
    pub fn binary(operator: Operator) -> Self {
        Expr::binary(operator, Expr::operand(0), Expr::operand(1)).into()
    }
}

/// Whether `is` holds for an expression or for any part of it.
fn any(expr: &Expr, is: &impl Fn(&Expr) -> bool) -> bool {
    is(expr) || expr.parts().any(|part| any(part, is))
}

/// The shape to which shapes are broadcast.
///
/// # Errors
/// [`Error::Shape`] naming `op` when two dimensions neither agree nor are 1.
pub fn broadcast(op: &str, shapes: &[&Shape]) -> Result<Shape> {
    let rank = shapes.iter().map(|s| s.rank()).max().unwrap_or(0);
    let mut out = vec![Dim::Const(1); rank];
    for shape in shapes {
        for (dim, of) in out[rank - shape.rank()..].iter_mut().zip(&shape.0) {
            match (&*dim, of) {
                (have, of) if have == of => {}
                (_, Dim::Const(1)) => {}
                (Dim::Const(1), of) => *dim = of.clone(),
                _ => {
                    let all: Vec<String> = shapes.iter().map(|s| s.to_string()).collect();
                    return Err(Error::shape(op, format!("the shapes {} do not go together", all.join(", "))));
                }
            }
        }
    }
    Ok(Shape(out))
}

/// The steps, in elements, by which an operand is read along the dimensions of `to`: 0 where broadcast.
fn steps(from: &Strided, to: &[usize]) -> Vec<usize> {
    let own = from.shape.iter().zip(&from.steps).map(|(n, step)| if *n == 1 { 0 } else { *step });
    std::iter::repeat_n(0, to.len() - from.shape.len()).chain(own).collect()
}

/// Joins neighbouring dimensions wherever every list of strides runs through both as through one, and drops those of 1.
pub(super) fn collapse(dims: &[usize], lists: &mut [Vec<usize>]) -> Vec<usize> {
    let mut joined: Vec<usize> = Vec::new();
    let mut kept: Vec<Vec<usize>> = vec![Vec::new(); lists.len()];
    for (d, n) in dims.iter().enumerate().filter(|(_, n)| **n != 1) {
        let runs_on = |(list, kept): (&Vec<usize>, &Vec<usize>)| kept.last().is_some_and(|outer| *outer == list[d] * n);
        match joined.last_mut() {
            Some(last) if lists.iter().zip(&kept).all(runs_on) => {
                *last *= n;
                kept.iter_mut()
                    .zip(lists.iter())
                    .for_each(|(k, list)| k.iter_mut().next_back().into_iter().for_each(|s| *s = list[d]));
            }
            _ => {
                joined.push(*n);
                kept.iter_mut().zip(lists.iter()).for_each(|(k, list)| k.push(list[d]));
            }
        }
    }
    if joined.is_empty() {
        joined.push(1);
        kept.iter_mut().for_each(|k| k.push(0));
    }
    lists.iter_mut().zip(kept).for_each(|(list, k)| *list = k);
    joined
}

/// Operands of a reference computation, as the elements of the output see them.
struct Operands<'a> {
    values: Vec<std::borrow::Cow<'a, Tensor>>,
    starts: Vec<usize>,
    steps: Vec<Vec<usize>>,
    /// The output's dimensions, as they are and joined.
    shape: Vec<usize>,
    dims: Vec<usize>,
}

impl<'a> Operands<'a> {
    fn new(op: &Elementwise, inputs: &'a [Input]) -> Result<Self> {
        let values = inputs.iter().map(Input::dense).collect::<Result<Vec<_>>>()?;
        let seen: Vec<Strided> = values.iter().enumerate().map(|(i, v)| op.operand(i, v.shape())).collect();
        let shapes: Vec<Shape> = seen.iter().map(|v| Shape::from(&v.shape[..])).collect();
        let shape = broadcast("Elementwise", &shapes.iter().collect::<Vec<_>>())?;
        let shape: Vec<usize> = shape.0.iter().filter_map(Dim::constant).collect();
        let mut lists: Vec<Vec<usize>> = seen.iter().map(|v| steps(v, &shape)).collect();
        let dims = collapse(&shape, &mut lists);
        Ok(Operands { values, starts: seen.iter().map(|v| v.start).collect(), steps: lists, shape, dims })
    }

    fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Operand `o` at element `i` of the output.
    fn at(&self, o: u32, i: usize) -> Scalar {
        let (mut rest, mut at) = (i, self.starts[o as usize]);
        for (n, step) in self.dims.iter().zip(&self.steps[o as usize]).rev() {
            at += rest % n * step;
            rest /= n;
        }
        match self.values[o as usize].data() {
            Data::F32(v) => Scalar::Float(v[at]),
            Data::I64(v) => Scalar::Int(v[at]),
            Data::U32(v) => Scalar::Int(v[at].into()),
            Data::F16(v) => Scalar::Float(v[at].to_f32()),
        }
    }
}

impl Elementwise {
    /// Emits the kernel that takes several elements at once, of operands of which none is strided.
    fn emit_many(&self, cx: &mut Lowering<'_>, mut operands: Vec<TailOperand>) {
        let elements = cx.outputs[0].len();
        let narrow = cx.caps.width == Width::Narrow;
        // The last number is the longest run on narrow devices. Measured on lavapipe with two operands of 4 Mi elements: 2.8 ms by eights of
        // which eight lanes take neighbours, 3.2 ms where each has a run of its own, 4.2 ms by quads.
        let (shader, access, together, run) = match narrow && cx.caps.long_words() && elements.is_multiple_of(8) {
            true => ("elementwise_eights", Access::Eight, 8, 32),
            false => ("elementwise_quads", Access::Quad, 4, 1024),
        };
        operands.iter_mut().filter(|o| o.access == Access::Element).for_each(|o| o.access = access);
        let count = elements / together;
        // Enough workgroups to keep a narrow device busy. On a GPU neighbours share lines.
        let run = if narrow { count.div_ceil(BUSY * LINEAR_WORKGROUP as usize).clamp(1, run) } else { 1 };
        let kernel = Kernel::new(shader).tail(Tail { expr: self.expr.clone(), operands, given: Vec::new() });
        let grid = linear_grid(count.div_ceil(run * LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel, vec![count as u32, run as u32], grid).write(cx.outputs[0].value);
        cx.emit(tail::bind(dispatch, cx.inputs));
    }
}

impl Rule for Elementwise {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let n = self.expr.operands() as usize;
        if inputs.len() != n || n == 0 {
            return Err(Error::shape("Elementwise", format!("'{}' takes {n} operands, got {}", self.expr, inputs.len())));
        }
        let kinds = inputs.iter().map(|t| kind_of("Elementwise", t)).collect::<Result<Vec<_>>>()?;
        let dtype = match self.expr.kind(&|i| kinds.get(i as usize).copied()) {
            Some(Kind::Float) => DType::F32,
            Some(Kind::Int) => DType::I64,
            None => {
                let types: Vec<String> = inputs.iter().map(|t| t.to_string()).collect();
                return Err(Error::shape("Elementwise", format!("'{}' cannot be taken of {}", self.expr, types.join(", "))));
            }
        };
        let shape = |(i, t): (usize, &&TensorType)| match self.views.get(i).and_then(Option::as_ref) {
            Some(view) => view.check("Elementwise", t).map(|()| Shape::from(&view.shape[..])),
            None => Ok(t.shape.clone()),
        };
        let shapes = inputs.iter().enumerate().map(shape).collect::<Result<Vec<Shape>>>()?;
        Ok(vec![TensorType::new(dtype, broadcast("Elementwise", &shapes.iter().collect::<Vec<_>>())?)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let operands = Operands::new(self, &inputs)?;
        let shape = &operands.shape;
        let value = |i: usize| self.expr.eval(&|o| operands.at(o, i));
        let kind = self.expr.kind(&|i| operands.values.get(i as usize).map(|v| kind(v.dtype())));
        Ok(vec![match kind {
            Some(Kind::Int) => Tensor::i64(shape, (0..operands.len()).into_par_iter().map(|i| value(i).int()).collect())?,
            _ => Tensor::f32(shape, (0..operands.len()).into_par_iter().map(|i| value(i).float()).collect())?,
        }])
    }

    /// What [`Expr::bound`] makes of exact operands.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Absolute(self.bounds(inputs, &|_| 0.0)?)])
    }

    fn extremes(&self) -> Extremes {
        Extremes::of(&self.expr)
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let out = &cx.outputs[0];
        let seen: Vec<Strided> = cx.inputs.iter().enumerate().map(|(i, x)| self.operand(i, &x.shape)).collect();
        let mut lists: Vec<Vec<usize>> = seen.iter().map(|x| steps(x, &out.shape)).collect();
        let dims = collapse(&out.shape, &mut lists);
        let mut words: Vec<usize> = dims.clone();
        let mut strided = 0;
        let mut operands = Vec::new();
        for ((input, seen), list) in cx.inputs.iter().zip(&seen).zip(lists) {
            let access = match list[..] {
                _ if seen.start == 0 && list.iter().all(|s| *s == 0) => Access::Scalar,
                [1] if seen.start == 0 => Access::Element,
                _ if *seen == Strided::of(&seen.shape) && input.len() == out.len() => Access::Element,
                _ => {
                    words.push(seen.start);
                    words.extend(list);
                    strided += 1;
                    Access::Strided(strided - 1)
                }
            };
            operands.push(TailOperand { kind: kind(input.dtype), access });
        }
        let quads = operands.iter().all(|o| matches!(o.access, Access::Element | Access::Scalar));
        if quads && out.len().is_multiple_of(4) && operands.iter().any(|o| o.access == Access::Element) {
            self.emit_many(cx, operands);
            return Ok(());
        }
        let kernel = Kernel::new("elementwise")
            .constant("RANK", dims.len() as u32)
            .constant("WORDS", words.len().div_ceil(4) as u32)
            .tail(Tail { expr: self.expr.clone(), operands, given: Vec::new() });
        // The array begins at the second vector of the uniform.
        let mut params = vec![out.len() as u32, 0, 0, 0];
        params.extend(words.iter().map(|w| *w as u32));
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel, params, grid).write(out.value);
        cx.emit(tail::bind(dispatch, cx.inputs));
        Ok(())
    }

    /// What an operand is raised to stays small, so that powers have 32 bits.
    fn example_index(&self, _: &[Vec<usize>], operand: usize, element: usize) -> usize {
        let exponent = |e: &Expr| matches!(e, Expr::Binary(Operator::Pow, _, n) if **n == Expr::Operand(operand as u32));
        let most = if any(&self.expr, &exponent) { 5 } else { 11 };
        (7 * element + operand) % most
    }

    fn example_number(&self, operand: usize, x: f32) -> f32 {
        let of = |e: &Expr, functions: &[Function]| match e {
            Expr::Call(f, a) => functions.contains(f) && **a == Expr::Operand(operand as u32),
            _ => false,
        };
        match () {
            _ if any(&self.expr, &|e| of(e, &[Function::Acosh])) => 1.0 + x.abs(),
            _ if any(&self.expr, &|e| of(e, &[Function::Log, Function::Sqrt])) => x.abs(),
            _ => x,
        }
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        (self.expr.size().max(1) * outputs[0].iter().product::<usize>()) as u64
    }
}
