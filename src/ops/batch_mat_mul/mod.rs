//! Products of two batches of matrices, either of which may be computed.

mod kernels;

use std::num::Wrapping;
use std::ops::{Add, Mul};

use bytemuck::TransparentWrapper;
use rayon::prelude::*;

use super::elementwise::{broadcast, collapse};
use super::tail::{self, Applied};
use super::{Input, Lowering, Rule, Strided, Tolerance, kind_of, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::expr::Kind;
use crate::kernel::{Expr, Extremes};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::{Data, Tensor};

/// `out[.., i, j] = tail(scale * sum_d a[.., i, d] * b[.., d, j], others...)`.
///
/// Inputs: `a` `[.., M, K]` and `b` `[.., K, N]`, both f32 or both i64, their leading dimensions broadcast as NumPy does; then the
/// tail's further operands: of the output's shape, `[N]` or single numbers. Output `[.., M, N]`. Products of integers have
/// neither scale nor tail. Either may be read through a view of the tensor that is the input.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchMatMul {
    /// Whether `a` lies as `[.., K, M]`.
    pub transpose_a: bool,
    /// Whether `b` lies as `[.., N, K]`.
    pub transpose_b: bool,
    /// What each sum is multiplied by; 1 for integers.
    pub scale: f32,
    /// What is applied to each scaled sum (its operand 0) before it is stored.
    pub tail: Expr,
    /// What `a` and `b` are of the inputs, where they are not these as they lie.
    pub views: [Option<Strided>; 2],
}

impl BatchMatMul {
    /// A product of matrices as they lie, without a tail.
    pub fn plain() -> Self {
        BatchMatMul { transpose_a: false, transpose_b: false, scale: 1.0, tail: Expr::operand(0), views: [None, None] }
    }

    /// Where the elements lie in inputs of these shapes.
    fn layout(&self, a: &[usize], b: &[usize]) -> Result<Layout> {
        let [a, b] = [(a, &self.views[0]), (b, &self.views[1])].map(|(x, v)| v.clone().unwrap_or_else(|| Strided::of(x)));
        let (Some((a_batch, &[a0, a1])), Some((b_batch, &[b0, b1]))) = (a.shape.split_last_chunk(), b.shape.split_last_chunk())
        else {
            return Err(Error::shape("BatchMatMul", format!("operands are {:?} and {:?}, expected matrices", a.shape, b.shape)));
        };
        let last = |x: &Strided| x.steps.last_chunk().copied().unwrap_or([0, 1]);
        let ([a_outer, a_inner], [b_outer, b_inner]) = (last(&a), last(&b));
        let (m, k, a_row, a_depth) = if self.transpose_a { (a1, a0, a_inner, a_outer) } else { (a0, a1, a_outer, a_inner) };
        let (n, b_depth, b_column) = if self.transpose_b { (b0, b_inner, b_outer) } else { (b1, b_outer, b_inner) };
        let shape = broadcast("BatchMatMul", &[&Shape::from(a_batch), &Shape::from(b_batch)])?;
        let batch: Vec<usize> = shape.0.iter().filter_map(Dim::constant).collect();
        // Aligned at the last dimension, and the same matrix again along dimensions of 1.
        let steps = |x: &Strided, own: &[usize]| {
            let of = own.iter().zip(&x.steps).map(|(n, step)| if *n == 1 { 0 } else { *step });
            std::iter::repeat_n(0, batch.len() - own.len()).chain(of).collect::<Vec<usize>>()
        };
        let mut lists = [steps(&a, a_batch), steps(&b, b_batch)];
        let dims = collapse(&batch, &mut lists);
        let out = [&batch[..], &[m, n]].concat();
        let [a_steps, b_steps] = lists;
        let batches = dims.into_iter().zip(a_steps).zip(b_steps).map(|((len, a), b)| [len, a, b]).collect();
        Ok(Layout { out, m, n, k, a_start: a.start, b_start: b.start, a_row, a_depth, b_depth, b_column, batches })
    }

    /// The output's shape and `sum_d f(a * b)` for each of its elements.
    fn sums<T: Element>(&self, a: &Tensor, b: &Tensor, of: Slice<T>, f: impl Fn(T) -> T + Sync) -> Result<(Layout, Vec<T>)> {
        let layout = self.layout(a.shape(), b.shape())?;
        let sums = layout.sums(of(a)?, of(b)?, f);
        Ok((layout, sums))
    }
}

/// Elements that products are made of.
trait Element: Copy + Default + Send + Sync + Add<Output = Self> + Mul<Output = Self> {}
impl Element for f32 {}
impl Element for Wrapping<i64> {}

/// How a tensor's elements are borrowed.
type Slice<T> = fn(&Tensor) -> Result<&[T]>;

/// Where the elements of both operands lie: strides are in elements.
struct Layout {
    out: Vec<usize>,
    m: usize,
    n: usize,
    k: usize,
    a_start: usize,
    b_start: usize,
    a_row: usize,
    a_depth: usize,
    b_depth: usize,
    b_column: usize,
    /// Dimensions of the batches, neighbours joined where possible: length, and the steps of `a` and `b`.
    batches: Vec<[usize; 3]>,
}

impl Layout {
    /// The number of batches.
    fn count(&self) -> usize {
        self.batches.iter().map(|[len, ..]| len).product()
    }

    /// Where the matrices of that batch begin.
    fn bases(&self, batch: usize) -> (usize, usize) {
        let (mut rest, mut a, mut b) = (batch, self.a_start, self.b_start);
        for [len, a_step, b_step] in self.batches.iter().rev() {
            a += rest % len * a_step;
            b += rest % len * b_step;
            rest /= len;
        }
        (a, b)
    }

    fn sums<T: Element>(&self, a: &[T], b: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
        let mut out = vec![T::default(); self.out.iter().product()];
        out.par_chunks_mut(self.n.max(1)).enumerate().for_each(|(row, out)| {
            let (a0, b0) = self.bases(row / self.m);
            let a0 = a0 + row % self.m * self.a_row;
            for d in 0..self.k {
                let x = a[a0 + d * self.a_depth];
                let column = b[b0 + d * self.b_depth..].iter().step_by(self.b_column.max(1));
                out.iter_mut().zip(column).for_each(|(sum, y)| *sum = *sum + f(x * *y));
            }
        });
        out
    }

    /// Where all batches share `b` and the rows of `a` go on from one to the next, these are rows of one matrix.
    fn joined(mut self) -> Self {
        if let [[len, step, 0]] = self.batches[..]
            && step == self.m * self.a_row
        {
            self.m *= len;
            self.batches = vec![[1, 0, 0]];
        }
        self
    }
}

impl Rule for BatchMatMul {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let refuse = |what: String| Err(Error::shape("BatchMatMul", what));
        let [a, b, others @ ..] = inputs else {
            return refuse(format!("takes 2 operands and those of its tail, got {}", inputs.len()));
        };
        let kind = kind_of("BatchMatMul", a)?;
        let viewed = |x: &TensorType, view: &Option<Strided>| match view {
            Some(view) => {
                view.check("BatchMatMul", x)?;
                Ok(TensorType::new(x.dtype, Shape::from(&view.shape[..])))
            }
            None => Ok::<_, Error>(x.clone()),
        };
        let (a, b) = (&viewed(a, &self.views[0])?, &viewed(b, &self.views[1])?);
        // Rows and columns of an operand are read one after another.
        let steps = |view: &Strided| view.steps.iter().zip(&view.shape).rev().take(2).all(|(step, n)| *step > 0 || *n == 1);
        if let Some(view) = self.views.iter().flatten().find(|v| !steps(v)) {
            return refuse(format!("the matrices of {view:?} repeat an element"));
        }
        let (Some((a_batch, [a0, a1])), Some((b_batch, [b0, b1]))) = (a.shape.0.split_last_chunk(), b.shape.0.split_last_chunk())
        else {
            return refuse(format!("operands are {a} and {b}, expected matrices"));
        };
        let (m, k) = if self.transpose_a { (a1, a0) } else { (a0, a1) };
        let (depth, n) = if self.transpose_b { (b1, b0) } else { (b0, b1) };
        if k != depth || a.dtype != b.dtype {
            return refuse(format!("'a' {a} and 'b' {b} do not agree in K and type"));
        }
        let batch = broadcast("BatchMatMul", &[&Shape(a_batch.to_vec()), &Shape(b_batch.to_vec())])?;
        let shape = Shape(batch.0.into_iter().chain([m.clone(), n.clone()]).collect());
        match kind {
            Kind::Float => tail::check("BatchMatMul", &self.tail, others, &shape, shape.rank() - 1)?,
            Kind::Int if self.scale != 1.0 || self.tail != Expr::operand(0) || !others.is_empty() => {
                return refuse(format!("integers have neither the scale {} nor the tail '{}'", self.scale, self.tail));
            }
            Kind::Int => {}
        }
        Ok(vec![TensorType::new(a.dtype, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (a, b) = (inputs[0].dense()?, inputs[1].dense()?);
        if let Data::I64(_) = a.data() {
            let (layout, sums) = self.sums(&a, &b, integers, |product| product)?;
            return Ok(vec![Tensor::i64(&layout.out, sums.into_iter().map(|sum| sum.0).collect())?]);
        }
        let (layout, sums) = self.sums(&a, &b, Tensor::as_f32, |product| product)?;
        let tail = Applied::new(&self.tail, &inputs[2..], &layout.out, layout.out.len() - 1)?;
        let values = sums.into_iter().enumerate().map(|(i, sum)| tail.value(i, sum * self.scale));
        Ok(vec![Tensor::f32(&layout.out, values.collect())?])
    }

    /// The error of a sum of K products is [`sum_error`] of the sum of their magnitudes (a rounding more for the scale); the
    /// tail passes it on. Integers are exact.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        if outputs[0].dtype() == DType::I64 {
            return Ok(vec![Tolerance::Exact]);
        }
        let (a, b) = (inputs[0].dense()?, inputs[1].dense()?);
        let (layout, sums) = self.sums(&a, &b, Tensor::as_f32, |product| product)?;
        let (_, magnitudes) = self.sums(&a, &b, Tensor::as_f32, f32::abs)?;
        let tail = Applied::new(&self.tail, &inputs[2..], &layout.out, layout.out.len() - 1)?;
        let error = sum_error(layout.k + 1) * self.scale.abs();
        let bound = |(i, (sum, m)): (usize, (&f32, &f32))| tail.bound(i, sum * self.scale, error * m);
        Ok(vec![Tolerance::Absolute(sums.iter().zip(&magnitudes).enumerate().map(bound).collect())])
    }

    fn extremes(&self) -> Extremes {
        Extremes::of(&self.tail).min(Extremes::Poisoned)
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (inputs, out) = (cx.inputs, &cx.outputs[0]);
        let tail = match out.dtype {
            DType::I64 => None,
            _ => Some(tail::lower(&self.tail, &inputs[2..], out, out.shape.len() - 1)?),
        };
        self.emit(cx, &inputs[0], &inputs[1], out, tail, &inputs[2..])
    }

    /// Half of the rows, where `a` is read as it lies.
    fn halved(&self, inputs: &[Vec<usize>], output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let axis = output.len() - 2;
        let rows = output[axis].div_ceil(2);
        let mut shapes = [inputs[..2].to_vec(), tail::halved(&inputs[2..], output, axis, rows)].concat();
        let at = shapes[0].len() - if self.transpose_a { 1 } else { 2 };
        shapes[0][at] = rows;
        (rows < output[axis] && self.views[0].is_none()).then_some(shapes)
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let a = self.views[0].as_ref().map_or(&inputs[0][..], |v| &v.shape);
        let k = a.iter().rev().nth(usize::from(self.transpose_a)).copied().unwrap_or(1);
        2 * outputs[0].iter().product::<usize>() as u64 * k as u64
    }
}

/// Integers, whose sums wrap around.
fn integers(t: &Tensor) -> Result<&[Wrapping<i64>]> {
    Ok(Wrapping::wrap_slice(t.as_i64()?))
}
