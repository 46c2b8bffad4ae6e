//! Small integers as bytes, four to a word: what products of bytes read.

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

/// `bytes[.., k] = tail(x[.., k], others...)`, where rows end in zeros up to a whole number of 16 bytes.
///
/// Inputs: `x` `[.., K]` f32 or i64, then the tail's further operands: of x's shape, `[K]` or single numbers. Output
/// `[.., 4 ceil(K / 16)]` i64, whose elements are words of four bytes, the first in the lowest bits, as i32. The tail yields integers
/// in -128..=127; of others the lower eight bits remain.
#[derive(Clone, Debug, PartialEq)]
pub struct PackBytes {
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
    fn frame(x: &TensorType) -> Result<Frame> {
        let given = kind_of("PackBytes", x)?;
        match x.shape.rank().checked_sub(1) {
            Some(channel) => Ok(Frame { given, ..Frame::floats(x.shape.clone(), channel) }),
            None => Err(Error::shape("PackBytes", "'x' has no dimensions")),
        }
    }

    /// The tail with its operands, and the given elements.
    fn applied<'a>(&'a self, x: &Tensor, others: &'a [Input]) -> Result<(Applied<'a>, Vec<Scalar>)> {
        let frame = PackBytes::frame(&TensorType::new(x.dtype(), Shape::from(x.shape())))?;
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
        if PackBytes::frame(x)?.check("PackBytes", &self.tail, others)? != Kind::Int {
            return Err(Error::shape("PackBytes", format!("the tail '{}' yields no integers", self.tail)));
        }
        let mut shape = x.shape.clone();
        match shape.0.pop() {
            Some(Dim::Const(k)) => shape.0.push(Dim::Const(row_words(k))),
            _ => return Err(Error::shape("PackBytes", format!("the rows of {x} have no constant length"))),
        }
        Ok(vec![TensorType::new(DType::I64, shape)])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let (tail, elements) = self.applied(&x, &inputs[1..])?;
        let bytes: Vec<i8> = elements.iter().enumerate().map(|(i, x)| tail.scalar(i, *x).int() as i8).collect();
        let mut shape = x.shape().to_vec();
        shape.pop();
        shape.push(row_words(x.columns()));
        Ok(vec![Tensor::i64(&shape, pack(&bytes, x.columns()))?])
    }

    /// What the tail adds, byte by byte.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let x = inputs[0].dense()?;
        let (tail, elements) = self.applied(&x, &inputs[1..])?;
        let (k, width) = (x.columns(), 4 * outputs[0].columns());
        let byte = |at: usize| {
            let (row, column) = (at / width, at % width);
            let i = row * k + column;
            if column < k { tail.scalar_bound(i, elements[i], 0.0) } else { 0.0 }
        };
        Ok(vec![Tolerance::Bytes((0..4 * outputs[0].len()).map(byte).collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let frame = PackBytes::frame(&TensorType::new(x.dtype, Shape::from(&x.shape[..])))?;
        let elements = match kind(x.dtype) {
            Kind::Float => "bytes/of_floats",
            Kind::Int => "bytes/of_integers",
        };
        let kernel = Kernel::new("pack_bytes").provider(elements).tail(frame.lower(&self.tail, &cx.inputs[1..])?);
        let params = [out.len(), out.columns(), x.columns(), 0].map(|n| n as u32).to_vec();
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel, params, grid).read(x.value).write(out.value);
        cx.emit(tail::bind(dispatch, &cx.inputs[1..]));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], _: &[Vec<usize>]) -> u64 {
        (self.tail.size().max(1) * inputs[0].iter().product::<usize>()) as u64
    }
}
