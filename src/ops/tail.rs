//! What ops with a fused elementwise tail share: which operands a tail may have, and how the reference applies it.

use std::borrow::Cow;

use rayon::prelude::*;

use super::{Input, Operand, kind_of};
use crate::error::{Error, Result};
use crate::kernel::expr::{Kind, Scalar};
use crate::kernel::{Access, Dispatch, Expr, Tail, TailOperand};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::{Data, Tensor};

/// How a tail reads an operand of shape `operand` beside an output of shape `out` whose channels are dimension `channel`, if it
/// can: as the output lies, by channel, or a single element.
pub fn access(operand: &Shape, out: &Shape, channel: usize) -> Option<Access> {
    let one = Dim::Const(1);
    if operand.0.iter().all(|d| *d == one) && operand.rank() <= out.rank() {
        return Some(Access::Scalar);
    }
    if operand == out {
        return Some(Access::Element);
    }
    // Aligned at the last dimension, as in broadcasting.
    let skipped = out.rank().checked_sub(operand.rank())?;
    let channels = |(i, d): (usize, &Dim)| if i + skipped == channel { *d == out.0[channel] } else { *d == one };
    (channel >= skipped && operand.0.iter().enumerate().all(channels)).then_some(Access::Channel)
}

/// The shapes of a tail's operands once dimension `axis` of the output has only `len`.
pub(super) fn halved(operands: &[Vec<usize>], output: &[usize], axis: usize, len: usize) -> Vec<Vec<usize>> {
    let from_end = output.len() - axis;
    let one = |operand: &Vec<usize>| {
        let mut shape = operand.clone();
        if let Some(at) = shape.len().checked_sub(from_end).filter(|at| shape[*at] == output[axis]) {
            shape[at] = len;
        }
        shape
    };
    operands.iter().map(one).collect()
}

/// What the elements of an output have in common with those of a tail's operands.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What the op hands over: the first operands of the tail.
    pub given: Vec<Kind>,
    /// The output's shape, before it is packed.
    pub out: Shape,
    /// The dimension of its channels.
    pub channel: usize,
    /// The shape of an operand with a number for each row, in ops whose kernels know rows: a last dimension of 1.
    pub rows: Option<Shape>,
}

impl Frame {
    /// That of an op which hands a float over and does not know rows.
    pub fn floats(out: Shape, channel: usize) -> Self {
        Frame { given: vec![Kind::Float], out, channel, rows: None }
    }

    /// How a tail reads an operand of that shape, if it can.
    pub fn access(&self, operand: &Shape) -> Option<Access> {
        // Leading dimensions of 1 make no difference.
        let long = |s: &Shape| s.0.iter().skip_while(|d| **d == Dim::Const(1)).cloned().collect::<Vec<Dim>>();
        let by_row = |rows: &Shape| operand.rank() <= self.out.rank() && long(operand) == long(rows);
        access(operand, &self.out, self.channel).or_else(|| self.rows.as_ref().filter(|r| by_row(r)).map(|_| Access::Row))
    }

    /// The kind of what the tail yields.
    ///
    /// # Errors
    /// [`Error::Shape`] when it yields nothing, or cannot read its operands.
    pub(super) fn check(&self, op: &str, tail: &Expr, operands: &[&TensorType]) -> Result<Kind> {
        let kinds = operands.iter().map(|t| kind_of(op, t)).collect::<Result<Vec<_>>>()?;
        let all = [&self.given[..], &kinds].concat();
        let named = (tail.operands() as usize).max(self.given.len()) == all.len();
        let yields = tail.kind(&|i| all.get(i as usize).copied()).filter(|_| named);
        let Some(yields) = yields else {
            return Err(Error::shape(op, format!("the tail '{tail}' cannot be taken of {} further operands", operands.len())));
        };
        match operands.iter().find(|t| self.access(&t.shape).is_none()) {
            Some(t) => Err(Error::shape(op, format!("the tail's operand {t} does not go with the output {}", self.out))),
            None => Ok(yields),
        }
    }

    /// The kernel's tail.
    pub(super) fn lower(&self, expr: &Expr, operands: &[Operand]) -> Result<Tail> {
        let operand = |operand: &Operand| {
            let access = self.access(&Shape::from(&operand.shape[..]));
            let access = access.ok_or_else(|| Error::shape("tail", "an operand does not go with the output"))?;
            Ok(TailOperand { kind: super::kind(operand.dtype), access })
        };
        let operands = operands.iter().map(operand).collect::<Result<_>>()?;
        Ok(Tail { expr: expr.clone(), operands, given: self.given.clone() })
    }
}

/// Refuses a tail of one computed value that does not yield a float, or operands that it cannot read.
pub(super) fn check(op: &str, tail: &Expr, operands: &[&TensorType], out: &Shape, channel: usize) -> Result<()> {
    check_given(op, tail, 1, operands, out, channel)
}

/// [`check`] of a tail of the first `given` operands, which the op computes.
pub(super) fn check_given(
    op: &str,
    tail: &Expr,
    given: usize,
    operands: &[&TensorType],
    out: &Shape,
    channel: usize,
) -> Result<()> {
    let frame = Frame { given: vec![Kind::Float; given], ..Frame::floats(out.clone(), channel) };
    match frame.check(op, tail, operands)? {
        Kind::Float => Ok(()),
        Kind::Int => Err(Error::shape(op, format!("the tail '{tail}' yields integers"))),
    }
}

/// The tail of a reference computation with its operands.
pub(super) struct Applied<'a> {
    expr: &'a Expr,
    operands: Vec<(Cow<'a, Tensor>, Access)>,
    /// Channels, and the elements between one channel and the next.
    channels: (usize, usize),
    /// Elements of a row, and rows after which an operand with a number for each begins again.
    rows: (usize, usize),
}

impl<'a> Applied<'a> {
    /// For an output of shape `out` whose channels are dimension `channel`.
    pub fn new(expr: &'a Expr, inputs: &'a [Input], out: &[usize], channel: usize) -> Result<Self> {
        Self::within(&Frame::floats(Shape::from(out), channel), expr, inputs)
    }

    /// For an output within `frame`, whose dimensions are constants.
    pub fn within(frame: &Frame, expr: &'a Expr, inputs: &'a [Input]) -> Result<Self> {
        let operand = |input: &'a Input| {
            let tensor = input.dense()?;
            let access = frame.access(&Shape::from(tensor.shape()));
            Ok((tensor, access.ok_or_else(|| Error::shape("tail", "an operand does not go with the output"))?))
        };
        let sizes = |s: &Shape| s.0.iter().filter_map(Dim::constant).collect::<Vec<usize>>();
        let out = sizes(&frame.out);
        let channels = (out[frame.channel], out[frame.channel + 1..].iter().product());
        let rows = (out.last().copied().unwrap_or(1), frame.rows.as_ref().map_or(1, |r| sizes(r).iter().product()));
        Ok(Applied { expr, operands: inputs.iter().map(operand).collect::<Result<_>>()?, channels, rows })
    }

    /// Operand `o` beside element `index`, after those that are `given`.
    fn operand<T: Copy + Into<Scalar>>(&self, o: u32, index: usize, given: &[T]) -> Scalar {
        if let Some(value) = given.get(o as usize) {
            return (*value).into();
        }
        let (tensor, access) = &self.operands[o as usize - given.len()];
        let at = match access {
            Access::Element | Access::Quad | Access::Eight | Access::Strided(_) => index,
            Access::Channel => index / self.channels.1 % self.channels.0,
            Access::Row => index / self.rows.0 % self.rows.1,
            Access::Scalar => 0,
        };
        match tensor.data() {
            Data::I64(v) => Scalar::Int(v[at]),
            Data::F32(v) => Scalar::Float(v[at]),
            Data::U32(v) => Scalar::Int(v[at].into()),
            Data::F16(v) => Scalar::Float(v[at].to_f32()),
        }
    }

    /// The tail's value for element `index`, for which the op computed `value`.
    pub fn value(&self, index: usize, value: f32) -> f32 {
        self.value_of(index, &[value]).float()
    }

    /// The tail's value for element `index`, for which the op computed all of `given`.
    pub fn value_of<T: Copy + Into<Scalar>>(&self, index: usize, given: &[T]) -> Scalar {
        self.expr.eval(&|o| self.operand(o, index, given))
    }

    /// Takes the tail of all elements of an output that the op computed.
    pub fn apply(&self, values: &mut [f32]) {
        if *self.expr != Expr::operand(0) {
            values.par_iter_mut().enumerate().for_each(|(i, value)| *value = self.value(i, *value));
        }
    }

    /// [`Applied::bound`] of all elements, of which element `i` may be off by `error(i)` before the tail.
    pub fn bounds(&self, values: &[f32], error: impl Fn(usize) -> f32 + Sync) -> Vec<f32> {
        values.par_iter().enumerate().map(|(i, value)| self.bound(i, *value, error(i))).collect()
    }

    /// How far the tail's value may be off when `value` is off by `error`.
    pub fn bound(&self, index: usize, value: f32, error: f32) -> f32 {
        self.bound_of(index, &[value], &[error])
    }

    /// How far the tail's value may be off when each of `given` is off by its place in `errors`.
    pub fn bound_of<T: Copy + Into<Scalar>>(&self, index: usize, given: &[T], errors: &[f32]) -> f32 {
        let error = |o: u32| errors.get(o as usize).copied().unwrap_or(0.0);
        self.expr.bound(&|o| self.operand(o, index, given), &error).1
    }
}

/// The kernel's tail of one computed value, for an output of shape `out` whose channels are dimension `channel`.
pub(super) fn lower(expr: &Expr, operands: &[Operand], out: &Operand, channel: usize) -> Result<Tail> {
    lower_given(expr, 1, operands, out, channel)
}

/// [`lower`] of a tail of the first `given` operands, which the kernel computes.
pub(super) fn lower_given(expr: &Expr, given: u32, operands: &[Operand], out: &Operand, channel: usize) -> Result<Tail> {
    let frame = Frame::floats(Shape::from(&out.shape[..]), channel);
    Frame { given: vec![Kind::Float; given as usize], ..frame }.lower(expr, operands)
}

/// Binds the operands that the tail reads.
pub(super) fn bind(mut dispatch: Dispatch, operands: &[Operand]) -> Dispatch {
    for operand in operands {
        dispatch = dispatch.tail_operand(operand.value);
    }
    dispatch
}
