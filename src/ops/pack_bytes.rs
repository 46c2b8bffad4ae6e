//! Small integers as bytes, four to a word: what products of bytes read.

use rayon::prelude::*;

use super::tail::{self, Applied, Frame};
use super::{Input, Lowering, Rule, Tolerance, kind, kind_of};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::expr::{Kind, Scalar};
use crate::kernel::{Dispatch, Expr, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::{Data, Tensor};

/// Bytes that kernels load at once: rows are whole numbers of them.
const QUAD_BYTES: usize = 16;

/// `bytes[.., k] = tail(x[.., k, ..], others...)`, where rows end in zeros up to a whole number of 16 bytes.
///
/// Inputs: `x` f32 or i64 with K elements along `axis`, then the tail's further operands: of x's shape, by place of the axis (`[K, 1..]`),
/// or single numbers. Output i64, the other dimensions of `x` and then `4 ceil(K / 16)`: words of four bytes as i32, the first
/// in the lowest bits. The tail yields integers in -128..=127; of others the lower eight bits remain.
#[derive(Clone, Debug, PartialEq)]
pub struct PackBytes {
    /// The dimension that becomes rows of bytes.
    pub axis: usize,
    /// The byte, as an integer: a quantisation, or the element (operand 0) itself.
    pub tail: Expr,
}

/// Words of a row of `k` bytes.
pub fn row_words(k: usize) -> usize {
    k.div_ceil(QUAD_BYTES) * (QUAD_BYTES / 4)
}

/// The words of rows of `k` bytes.
pub fn pack(bytes: &[i8], k: usize) -> Vec<i64> {
    let word = |bytes: &[i8]| {
        let byte = |i: usize| bytes.get(i).map_or(0, |b| *b as u8);
        i64::from(i32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]))
    };
    let row = |row: &[i8]| {
        let filled = row_words(k) - k.div_ceil(4);
        row.chunks(4).map(word).chain(std::iter::repeat_n(0, filled)).collect::<Vec<i64>>()
    };
    bytes.chunks(k.max(1)).flat_map(row).collect()
}

/// The bytes of words.
pub fn unpack(words: &[i64]) -> impl Iterator<Item = i8> {
    words.iter().flat_map(|word| (*word as i32).to_le_bytes().map(|b| b as i8))
}

impl PackBytes {
    /// How the tail's operands lie beside `x`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `x` has no such axis.
    pub fn frame(&self, x: &TensorType) -> Result<Frame> {
        let given = vec![kind_of("PackBytes", x)?];
        match self.axis < x.shape.rank() {
            true => Ok(Frame { given, ..Frame::floats(x.shape.clone(), self.axis) }),
            false => Err(Error::shape("PackBytes", format!("'x' {x} has no dimension {}", self.axis))),
        }
    }

    /// The output's shape for `x` of that shape.
    fn shape(&self, x: &[usize]) -> Vec<usize> {
        let others = x.iter().enumerate().filter(|(d, _)| *d != self.axis).map(|(_, n)| *n);
        others.chain([row_words(x[self.axis])]).collect()
    }

    /// The index in `x` of byte `k` of row `row`.
    fn source(&self, x: &[usize], row: usize, k: usize) -> usize {
        let inner: usize = x[self.axis + 1..].iter().product();
        (row / inner * x[self.axis] + k) * inner + row % inner
    }

    /// The tail with its operands, and the given elements.
    fn applied<'a>(&'a self, x: &Tensor, others: &'a [Input]) -> Result<(Applied<'a>, Vec<Scalar>)> {
        let frame = self.frame(&TensorType::new(x.dtype(), Shape::from(x.shape())))?;
        let elements = match x.data() {
            Data::I64(v) => v.iter().map(|n| Scalar::Int(*n)).collect(),
            _ => x.as_f32()?.iter().map(|x| Scalar::Float(*x)).collect(),
        };
        Ok((Applied::within(&frame, &self.tail, others)?, elements))
    }
}

impl Rule for PackBytes {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, others @ ..] = inputs else { return Err(Error::shape("PackBytes", "takes an operand and those of its tail")) };
        if self.frame(x)?.check("PackBytes", &self.tail, others)? != Kind::Int {
            return Err(Error::shape("PackBytes", format!("the tail '{}' yields no integers", self.tail)));
        }
        let mut shape = x.shape.clone();
        match shape.0.remove(self.axis) {
            Dim::Const(k) => shape.0.push(Dim::Const(row_words(k))),
            _ => return Err(Error::shape("PackBytes", format!("the rows of {x} have no constant length"))),
        }
        Ok(vec![TensorType::new(DType::I64, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let (tail, elements) = self.applied(&x, &inputs[1..])?;
        let k = x.shape()[self.axis];
        let byte = |at: usize| {
            let i = self.source(x.shape(), at / k, at % k);
            tail.value_of(i, &[elements[i]]).int() as i8
        };
        let bytes: Vec<i8> = (0..elements.len()).into_par_iter().map(byte).collect();
        Ok(vec![Tensor::i64(&self.shape(x.shape()), pack(&bytes, k))?])
    }

    /// What the tail adds, byte by byte.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let x = inputs[0].dense()?;
        let (tail, elements) = self.applied(&x, &inputs[1..])?;
        let (k, width) = (x.shape()[self.axis], 4 * outputs[0].columns());
        let byte = |at: usize| {
            let (row, column) = (at / width, at % width);
            let i = self.source(x.shape(), row, column.min(k - 1));
            if column < k { tail.bound_of(i, &[elements[i]], &[]) } else { 0.0 }
        };
        Ok(vec![Tolerance::Bytes((0..4 * outputs[0].len()).into_par_iter().map(byte).collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let frame = self.frame(&TensorType::new(x.dtype, Shape::from(&x.shape[..])))?;
        let elements = match kind(x.dtype) {
            Kind::Float => "bytes/of_floats",
            Kind::Int => "bytes/of_integers",
        };
        let kernel = Kernel::new("pack_bytes").provider(elements).tail(frame.lower(&self.tail, &cx.inputs[1..])?);
        let inner: usize = x.shape[self.axis + 1..].iter().product();
        let params = [out.len(), out.columns(), x.shape[self.axis], inner].map(|n| n as u32).to_vec();
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel, params, grid).read(x.value).write(out.value);
        cx.emit(tail::bind(dispatch, &cx.inputs[1..]));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        (self.tail.size().max(1) * inputs[0].iter().product::<usize>()) as u64
    }
}
