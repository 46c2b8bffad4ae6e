//! Rotary position embeddings (Su et al. 2021, arXiv:2104.09864).

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::formula::Formula;
use super::{Operator, contrib, device};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::ops::view::{Axis, row_major};
use crate::ops::{Concat, Gather, View};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[
    device("RotaryEmbedding", |cx| {
        let (x, cos, sin) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let places = cx.optional(3);
        embedding(cx, x, cos, sin, places)
    }),
    contrib("RotaryEmbedding", |cx| {
        if cx.int("is_packed_batching", 0) != 0 {
            return Err(cx.unsupported("rotary embeddings of packed batches"));
        }
        let (x, mut places, cos, sin) = (cx.input(0)?, cx.input(1)?, cx.input(2)?, cx.input(3)?);
        if places.len() == 1 {
            let length = if x.rank() == 4 { x.shape[2] } else { x.shape.get(1).copied().unwrap_or(0) };
            places = from_place(cx, &places, length)?;
        }
        embedding(cx, x, cos, sin, Some(places))
    }),
];

/// The angles of positions, and which numbers of a head are turned by them.
pub struct Rotation {
    /// `[B, S, dim / 2]`, or 1 for B.
    pub cos: Value,
    /// As `cos`.
    pub sin: Value,
    /// Whether pairs are neighbours; else a number's partner is half of `dim` away.
    pub interleaved: bool,
}

/// The positions `first ..` of `length` tokens of every sequence, `[B, length]` where there are B first ones.
pub fn from_place(cx: &mut Context, first: &Value, length: usize) -> Traced<Value> {
    let first = cx.reshape(first, &[first.len(), 1])?;
    let steps = cx.constant(ElementType::Int64, Tensor::i64(&[length], (0..length as i64).collect())?);
    cx.elementwise(Expr::sum(Expr::operand(0), Expr::operand(1)), &[&first, &steps], first.ty)
}

impl Rotation {
    /// The rows `places` `[B, S]` of tables of all positions; where there are no places, tables of each token's angles.
    pub fn of(cx: &mut Context, cos: Value, sin: Value, places: Option<&Value>, interleaved: bool) -> Traced<Self> {
        let (cos, sin) = match places {
            Some(places) => {
                (cx.apply(Gather { axis: 0 }, &[&cos, places], cos.ty)?, cx.apply(Gather { axis: 0 }, &[&sin, places], sin.ty)?)
            }
            None => (cos, sin),
        };
        if cos.rank() != 3 || cos.shape != sin.shape {
            return Err(cx.error(format!("cosines {:?} and sines {:?}", cos.shape, sin.shape)));
        }
        Ok(Rotation { cos, sin, interleaved })
    }

    /// `x` of four dimensions, the last a head's numbers, of which the first are turned; tokens are dimension `time`, 1 or 2.
    pub fn apply(&self, cx: &mut Context, x: &Value, time: usize) -> Traced<Value> {
        let half = self.cos.shape[2];
        let dim = 2 * half;
        let &[batch, a, b, size] = &x.shape[..] else { return Err(cx.error(format!("heads of shape {:?}", x.shape))) };
        if dim > size || dim == 0 || self.cos.shape[1] != x.shape[time] || ![1, batch].contains(&self.cos.shape[0]) {
            return Err(cx.error(format!("angles {:?} for heads {:?}", self.cos.shape, x.shape)));
        }
        let (pair, row) = if self.interleaved { ([half, 2], [half, 1]) } else { ([2, half], [1, half]) };
        let shape = [&[batch, a, b][..], &pair].concat();
        let turned = cx.slice(x, 3, 0, dim)?;
        let turned = cx.reshape(&turned, &shape)?;
        let partners = self.partners(cx, x)?;
        let mut angles = [&[self.cos.shape[0], 1, 1][..], &row].concat();
        angles[time] = x.shape[time];
        let (cos, sin) = (cx.reshape(&self.cos, &angles)?, cx.reshape(&self.sin, &angles)?);
        // The first of a pair loses what its partner's sine gives, the second wins it.
        let signs = if self.interleaved { vec![2] } else { vec![2, 1] };
        let signs = cx.float_list(&signs, vec![-1.0, 1.0])?;
        let mut formula = Formula::default();
        let along = Expr::product(formula.operand(&turned), formula.operand(&cos));
        let across = Expr::product(formula.operand(&partners), formula.operand(&sin));
        let sum = Expr::sum(along, Expr::product(formula.operand(&signs), across));
        let turned = formula.compute(cx, sum, x.ty)?;
        let turned = cx.reshape(&turned, &[batch, a, b, dim])?;
        if dim == size {
            return Ok(turned);
        }
        let rest = cx.slice(x, 3, dim, size - dim)?;
        cx.apply(Concat { axis: 3 }, &[&turned, &rest], x.ty)
    }

    /// The turned numbers with both of each pair in the other's place.
    fn partners(&self, cx: &mut Context, x: &Value) -> Traced<Value> {
        let half = self.cos.shape[2];
        let mut axes = View::of(&x.shape).axes;
        axes.pop();
        let stride = row_major(&x.shape).last().copied().unwrap_or(1);
        let axis = |len: usize, stride: usize| Axis { len, start: 0, step: 1, extent: len, stride };
        let other = |stride: usize| Axis { start: 1, step: -1, ..axis(2, stride) };
        match self.interleaved {
            true => axes.extend([axis(half, 2 * stride), other(stride)]),
            false => axes.extend([other(half * stride), axis(half, stride)]),
        }
        cx.apply(View { axes, ..View::of(&x.shape) }, &[x], x.ty)
    }
}

fn embedding(cx: &mut Context, x: Value, cos: Value, sin: Value, places: Option<Value>) -> Traced<Vec<Value>> {
    let rotation = Rotation::of(cx, cos, sin, places.as_ref(), cx.int("interleaved", 0) != 0)?;
    let dim = 2 * rotation.cos.shape[2];
    let said = cx.int("rotary_embedding_dim", 0);
    if said != 0 && said != dim as i64 {
        return Err(cx.error(format!("angles of {dim} numbers, 'rotary_embedding_dim' is {said}")));
    }
    if x.rank() == 4 {
        return Ok(vec![rotation.apply(cx, &x, 2)?]);
    }
    let &[batch, length, size] = &x.shape[..] else { return Err(cx.error(format!("heads of shape {:?}", x.shape))) };
    // Without a number of heads, all of a head is turned.
    let heads = match usize::try_from(cx.int("num_heads", 0)) {
        Ok(0) => size / dim.max(1),
        heads => heads.unwrap_or(0),
    };
    if heads == 0 || !size.is_multiple_of(heads) {
        return Err(cx.error(format!("{size} numbers in {heads} heads")));
    }
    let split = cx.reshape(&x, &[batch, length, heads, size / heads])?;
    let turned = rotation.apply(cx, &split, 1)?;
    Ok(vec![cx.reshape(&turned, &x.shape)?])
}
