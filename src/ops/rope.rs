//! Rotary position embedding.
//!
//! Cosines and sines come from a table made on the host: WGSL promises `sin` and `cos` to 2^-11 only, and only near
//! zero. A table of every position would be large, so it holds the angles of whole strides and those within one
//! stride; a kernel joins the two by the addition theorem, which costs four products and is exact to a few units on
//! every driver.

use super::{Input, Lowering, Rule, Tolerance, expect, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::TensorType;
use crate::tensor::{Tensor, Weight};

/// Positions within one stride of the table.
pub const STRIDE: usize = 64;

/// Which elements of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// Neighbours `2i` and `2i + 1` (the original of Su et al. 2021, arXiv:2104.09864; GGUF's `llama`).
    Interleaved,
    /// `i` and `i + dim / 2` (GPT-NeoX; Hugging Face checkpoints).
    Halves,
}

/// Turns the first `dim` elements of each head by the token's position.
///
/// Inputs: `x` `[T, heads * head_dim]` f32, `positions` `[T]` u32, `table` `[STRIDE + strides, dim]` of [`table`].
/// Output: as `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Elements of one head.
    pub head_dim: usize,
    /// How many of them are turned; even.
    pub dim: usize,
    /// Which of them turn together.
    pub pairing: Pairing,
}

/// The table for positions below `context`, from the angle per position of each pair (`[dim / 2]`).
///
/// Row `r < STRIDE` holds the angles of position `r`, row `STRIDE + s` those of position `s * STRIDE`; a row is
/// `cos, sin` of each pair in turn.
///
/// # Errors
/// [`Error::Shape`] when there are no frequencies.
pub fn table(frequencies: &[f64], context: usize) -> Result<Weight> {
    if frequencies.is_empty() {
        return Err(Error::shape("Rope", "the table needs at least one frequency"));
    }
    let positions = (0..STRIDE).chain((0..context.div_ceil(STRIDE)).map(|s| s * STRIDE));
    let values: Vec<f32> = positions
        .flat_map(|p| frequencies.iter().map(move |f| p as f64 * f))
        .flat_map(|angle| [angle.cos() as f32, angle.sin() as f32])
        .collect();
    Weight::from_f32(&[values.len() / (2 * frequencies.len()), 2 * frequencies.len()], &values)
}

impl Rope {
    /// The two elements of pair `i` within a head.
    fn pair(&self, i: usize) -> (usize, usize) {
        match self.pairing {
            Pairing::Interleaved => (2 * i, 2 * i + 1),
            Pairing::Halves => (i, i + self.dim / 2),
        }
    }
}

impl Rule for Rope {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x, positions, table] = operands("Rope", inputs.to_vec())?;
        expect("Rope", "x", x, DType::F32, 2)?;
        expect("Rope", "positions", positions, DType::U32, 1)?;
        expect("Rope", "table", table, DType::F32, 2)?;
        let whole = x.shape.columns().is_some_and(|n| self.head_dim > 0 && n.is_multiple_of(self.head_dim));
        if !whole || self.dim > self.head_dim || !self.dim.is_multiple_of(2) || self.dim == 0 {
            return Err(Error::shape("Rope", format!("'x' {x} has no heads of {} with {} turned", self.head_dim, self.dim)));
        }
        let strides = table.shape.0[0].constant().is_some_and(|rows| rows > STRIDE);
        if !strides || table.shape.columns() != Some(self.dim) || positions.shape.0[0] != x.shape.0[0] {
            return Err(Error::shape("Rope", format!("'x' {x}, 'positions' {positions} and 'table' {table} do not agree")));
        }
        Ok(vec![x.clone()])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let (x, positions, table) = (inputs[0].tensor()?, inputs[1].tensor()?.as_u32()?, inputs[2].to_f32()?);
        let mut out = x.as_f32()?.to_vec();
        for (row, position) in out.chunks_exact_mut(x.columns()).zip(positions) {
            let p = *position as usize;
            let near = &table[p % STRIDE * self.dim..][..self.dim];
            let far = table.get((STRIDE + p / STRIDE) * self.dim..).filter(|t| t.len() >= self.dim);
            let far = far.ok_or_else(|| Error::Request(format!("position {p} lies beyond the rotary table")))?;
            for head in row.chunks_exact_mut(self.head_dim) {
                for i in 0..self.dim / 2 {
                    let (c0, s0, c1, s1) = (near[2 * i], near[2 * i + 1], far[2 * i], far[2 * i + 1]);
                    let (cos, sin) = (c0 * c1 - s0 * s1, s0 * c1 + c0 * s1);
                    let (a, b) = self.pair(i);
                    (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
                }
            }
        }
        Ok(vec![Tensor::f32(x.shape(), out)?])
    }

    /// Two sums of two products, one after the other: six roundings of terms below `|a| + |b|` on either side.
    fn tolerance(&self, inputs: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        let mut bound = inputs[0].tensor()?.as_f32()?.iter().map(|v| v.abs()).collect::<Vec<f32>>();
        for head in bound.chunks_exact_mut(self.head_dim) {
            for i in 0..self.dim / 2 {
                let (a, b) = self.pair(i);
                (head[a], head[b]) = (head[a] + head[b], head[a] + head[b]);
            }
        }
        Ok(vec![Tolerance::Absolute(bound.iter().map(|v| 12.0 * super::ROUNDING * v + f32::MIN_POSITIVE).collect())])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Poisoned
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, positions, table, out) = (&cx.inputs[0], &cx.inputs[1], &cx.inputs[2], &cx.outputs[0]);
        let halves = u32::from(self.pairing == Pairing::Halves);
        let kernel = Kernel::new("rope").constant("HALVES", halves);
        // One invocation turns one pair or copies two elements that are not turned.
        let pairs = x.len().div_ceil(2);
        let strides = table.rows() - STRIDE;
        let params = [x.rows(), x.columns(), self.head_dim, self.dim, strides].map(|n| n as u32).to_vec();
        let grid = linear_grid(pairs.div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel, params, grid).read(x.value).read(positions.value);
        cx.emit(dispatch.constant(table.value).write(out.value));
        Ok(())
    }

    fn example_index(&self, _: &[Vec<usize>], _: usize, element: usize) -> usize {
        element
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        6 * outputs[0].iter().product::<usize>() as u64
    }
}
