//! Products of matrices of bytes, exact in integers.

use rayon::prelude::*;

use super::pack_bytes::unpack;
use super::tail::{self, Applied, Frame};
use super::{Input, Lowering, Operand, Rule, Tolerance};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::expr::{Kind, Scalar};
use crate::kernel::{Dispatch, Expr, Kernel, linear_grid};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::Tensor;

/// Words of a row at most: 131056 products of two bytes, each at most 2^14, stay below 2^31.
pub const MOST_WORDS: usize = 32764;

/// `out[.., i, j] = tail(sum_k a[.., i, k] * b[.., j, k], others...)`.
///
/// Inputs: `a` `[.., M, W]` and `b` `[.., N, W]`, words of four bytes as [`PackBytes`](super::PackBytes) makes them, where either
/// is one matrix or both have the same leading dimensions; then the tail's further operands: of the output's shape, `[N]`, a number for
/// each row of `a` (`[.., M, 1]`), or single numbers. Output `[.., M, N]`, of the type that the tail yields. Sums are exact in 32 bits.
///
/// For bytes less their zero points, `sum (a - za) (b - zb) = sum a b - za sum b - zb sum a + K za zb`: the tail subtracts the
/// last three, which are operands.
#[derive(Clone, Debug, PartialEq)]
pub struct ByteMatMul {
    /// What is applied to each sum (its operand 0, an integer) before it is stored.
    pub tail: Expr,
}

impl ByteMatMul {
    /// A product without a tail.
    pub fn plain() -> Self {
        ByteMatMul { tail: Expr::operand(0) }
    }

    /// Where the tail's operands lie beside the product of operands of these shapes.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes do not go together.
    pub fn frame(a: &Shape, b: &Shape) -> Result<Frame> {
        let refuse = |what: &str| Err(Error::shape("ByteMatMul", format!("'a' {a} and 'b' {b} {what}")));
        let (Some((a_batch, [m, words])), Some((b_batch, [n, other]))) = (a.0.split_last_chunk(), b.0.split_last_chunk()) else {
            return refuse("are no matrices");
        };
        let fits = |words: &Dim| words.constant().is_some_and(|w| w.is_multiple_of(4) && w <= MOST_WORDS);
        if words != other || !fits(words) {
            return refuse("do not agree in a number of words that is a multiple of 4 and exact");
        }
        let batch = match (a_batch, b_batch) {
            (batch, []) | ([], batch) => batch,
            (batch, same) if batch == same => batch,
            _ => return refuse("do not go together"),
        };
        let out = Shape([batch, &[m.clone(), n.clone()]].concat());
        let rows = Shape([a_batch, &[m.clone(), Dim::Const(1)]].concat());
        Ok(Frame { given: vec![Kind::Int], channel: out.rank() - 1, rows: Some(rows), out })
    }

    fn sums(a: &Tensor, b: &Tensor) -> Result<(Frame, Vec<i32>)> {
        let frame = ByteMatMul::frame(&Shape::from(a.shape()), &Shape::from(b.shape()))?;
        let (out, k) = (frame.out.0.iter().filter_map(Dim::constant).collect::<Vec<usize>>(), 4 * a.columns());
        let [.., m, n] = out[..] else { return Err(Error::shape("ByteMatMul", "expected matrices")) };
        let shared = |t: &Tensor| t.shape().len() == 2;
        let (one_a, one_b) = (shared(a), shared(b));
        let bytes = |t: &Tensor| Ok::<_, Error>(unpack(t.as_i64()?).collect::<Vec<i8>>());
        let (a, b) = (bytes(a)?, bytes(b)?);
        let dot = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>();
        let mut sums = vec![0; out.iter().product()];
        sums.par_chunks_mut(n.max(1)).enumerate().for_each(|(row, sums)| {
            let (batch, i) = (row / m, row % m);
            let x = &a[if one_a { i } else { row } * k..][..k];
            let first = if one_b { 0 } else { batch * n };
            sums.iter_mut().enumerate().for_each(|(j, sum)| *sum = dot(x, &b[(first + j) * k..][..k]));
        });
        Ok((frame, sums))
    }
}

impl Rule for ByteMatMul {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [a, b, others @ ..] = inputs else {
            return Err(Error::shape("ByteMatMul", format!("takes 2 operands and those of its tail, got {}", inputs.len())));
        };
        if a.dtype != DType::I64 || b.dtype != DType::I64 {
            return Err(Error::shape("ByteMatMul", format!("'a' is {a}, 'b' is {b}, expected words of bytes")));
        }
        let frame = ByteMatMul::frame(&a.shape, &b.shape)?;
        let dtype = match frame.check("ByteMatMul", &self.tail, others)? {
            Kind::Float => DType::F32,
            Kind::Int => DType::I64,
        };
        Ok(vec![TensorType::new(dtype, frame.out)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (frame, sums) = ByteMatMul::sums(&*inputs[0].dense()?, &*inputs[1].dense()?)?;
        let tail = Applied::within(&frame, &self.tail, &inputs[2..])?;
        let values: Vec<Scalar> =
            sums.into_par_iter().enumerate().map(|(i, s)| tail.value_of(i, &[Scalar::Int(s.into())])).collect();
        let shape: Vec<usize> = frame.out.0.iter().filter_map(Dim::constant).collect();
        let out = match values.first().map(|v| v.kind()) {
            Some(Kind::Int) => Tensor::i64(&shape, values.into_iter().map(Scalar::int).collect())?,
            _ => Tensor::f32(&shape, values.into_iter().map(Scalar::float).collect())?,
        };
        Ok(vec![out])
    }

    /// Sums are exact; what remains is what the tail adds.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let (frame, sums) = ByteMatMul::sums(&*inputs[0].dense()?, &*inputs[1].dense()?)?;
        let tail = Applied::within(&frame, &self.tail, &inputs[2..])?;
        let bound = |(i, sum): (usize, i32)| tail.bound_of(i, &[Scalar::Int(sum.into())], &[]);
        Ok(vec![Tolerance::Absolute(sums.into_par_iter().enumerate().map(bound).collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (a, b, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
        let frame = ByteMatMul::frame(&Shape::from(&a.shape[..]), &Shape::from(&b.shape[..]))?;
        let (n, quads) = (out.columns(), a.columns() / 4);
        let shared = |x: &Operand| x.shape.len() == 2;
        // Where all batches share `b`, the rows of `a` are those of one matrix.
        let (m, batches) = if shared(b) { (a.rows(), 1) } else { (a.shape[a.shape.len() - 2], b.rows() / n.max(1)) };
        let step = |x: &Operand, rows: usize| if batches == 1 || shared(x) { 0 } else { rows * quads };
        let (a_step, b_step) = (step(a, m), step(b, n));
        let Choice { kernel, rows, columns } = choose(cx, m);
        let (across, down) = (n.div_ceil(columns), m.div_ceil(rows));
        let params = [m, n, quads, a_step, b_step, across, down, batches, a.rows(), 0, 0, 0].map(|n| n as u32).to_vec();
        let kernel = kernel.provider("bytes/operands").tail(frame.lower(&self.tail, &cx.inputs[2..])?);
        let dispatch = Dispatch::new(kernel, params, linear_grid(across * down * batches, cx.caps));
        let dispatch = dispatch.read(a.value).read(b.value).write(out.value);
        cx.emit(tail::bind(dispatch, &cx.inputs[2..]));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let k = 4 * inputs[0].last().copied().unwrap_or(1);
        2 * outputs[0].iter().product::<usize>() as u64 * k as u64
    }
}

/// A kernel and what one of its workgroups covers.
struct Choice {
    kernel: Kernel,
    rows: usize,
    columns: usize,
}

/// Chooses the kernel of a product of `m` rows.
fn choose(cx: &Lowering<'_>, m: usize) -> Choice {
    match cx.caps.width {
        // Measured on lavapipe for 256 rows and K = N = 1024: 38, 46 and 67 GFLOP/s with 8, 16 and 32 rows, where the kernels of floats
        // run at 26 with a weight and 49 with a matrix. Without a subgroup every lane loads each row, and more rows bring less.
        Width::Narrow => {
            let broadcast = cx.caps.subgroup_at_least(8);
            let rows = match m {
                1 => 1,
                m if broadcast => m.next_power_of_two().clamp(8, 32),
                _ => 8,
            };
            let kernel = Kernel::new("byte_mat_mul_rows").constant("ROWS", rows as u32);
            let kernel = kernel.provider(if broadcast { "bytes/rows_broadcast" } else { "bytes/rows" });
            Choice { kernel, rows, columns: 32 }
        }
        // By reasoning, as for products of floats: few rows are bound by the bytes of `b`.
        Width::Wide if m <= 8 => {
            let rows = m.next_power_of_two();
            Choice { kernel: Kernel::new("byte_mat_mul_few").constant("ROWS", rows as u32), rows, columns: 64 }
        }
        Width::Wide => Choice { kernel: Kernel::new("byte_mat_mul"), rows: 64, columns: 64 },
    }
}
