//! Which inputs go with which outputs: the windows of convolutions and of all that is made like them.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::shape::{Dim, Shape};

/// Most places of a padded dimension, so that every place is an i32 in shaders.
const MOST_PLACES: usize = 1 << 30;

/// One spatial dimension: for tap `k` of the kernel, output `o` goes with input `o * stride + k * dilation - pad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Inputs.
    pub input: usize,
    /// Taps of the kernel.
    pub kernel: usize,
    /// Outputs.
    pub output: usize,
    /// Inputs from one output to the next.
    pub stride: usize,
    /// Inputs from one tap to the next.
    pub dilation: usize,
    /// Places before the first input.
    pub pad: usize,
}

impl Axis {
    /// A dimension that is not there.
    pub const ONE: Axis = Axis { input: 1, kernel: 1, output: 1, stride: 1, dilation: 1, pad: 0 };

    /// The outputs whose input for tap `k` is one that there is.
    pub fn inside(&self, k: usize) -> Range<usize> {
        let first = self.pad.saturating_sub(k * self.dilation).div_ceil(self.stride);
        let last = (self.input + self.pad).saturating_sub(k * self.dilation).div_ceil(self.stride);
        first.min(self.output)..last.min(self.output).max(first.min(self.output))
    }

    /// The input of output `o` for tap `k`, where `o` is one of [`Axis::inside`].
    pub fn source(&self, o: usize, k: usize) -> usize {
        o * self.stride + k * self.dilation - self.pad
    }

    /// The members of `Axis` in shaders.
    pub fn words(&self) -> [u32; 8] {
        [self.input, self.kernel, self.output, self.stride, self.dilation, self.pad, 0, 0].map(|n| n as u32)
    }
}

/// The window that an op slides over its spatial dimensions, a list per property with a member per dimension.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Inputs from one output to the next.
    pub strides: &'a [usize],
    /// Places before the first input.
    pub pads_begin: &'a [usize],
    /// Places after the last input.
    pub pads_end: &'a [usize],
    /// Inputs from one tap to the next.
    pub dilations: &'a [usize],
}

impl Window<'_> {
    /// Refuses lists that do not have a member for each of `rank` dimensions, and members that no window can have.
    ///
    /// # Errors
    /// [`Error::Shape`] naming `op`.
    pub fn check(&self, op: &str, rank: usize) -> Result<()> {
        let lists = [self.strides, self.pads_begin, self.pads_end, self.dilations];
        if lists.iter().any(|list| list.len() != rank || list.iter().any(|n| *n > MOST_PLACES)) {
            return Err(Error::shape(op, format!("{self:?} does not fit {rank} spatial dimensions")));
        }
        match self.strides.iter().chain(self.dilations).all(|n| *n > 0) {
            true => Ok(()),
            false => Err(Error::shape(op, "strides and dilations begin at 1")),
        }
    }

    /// Dimension `d` with `input` places under a kernel of `kernel` taps.
    ///
    /// # Errors
    /// [`Error::Shape`] naming `op` when the kernel does not fit.
    pub fn axis(&self, op: &str, d: usize, input: usize, kernel: usize) -> Result<Axis> {
        let (stride, dilation, pad) = (self.strides[d], self.dilations[d], self.pads_begin[d]);
        let padded = input.checked_add(pad + self.pads_end[d]).filter(|n| *n <= MOST_PLACES);
        let span = kernel.checked_sub(1).and_then(|taps| taps.checked_mul(dilation)?.checked_add(1));
        match (padded, span) {
            (Some(padded), Some(span)) if span <= padded => {
                Ok(Axis { input, kernel, output: (padded - span) / stride + 1, stride, dilation, pad })
            }
            _ => {
                Err(Error::shape(op, format!("{input} inputs, padded in spatial dimension {d}, have no room for {kernel} taps")))
            }
        }
    }
}

/// Three axes of the one, two or three that there are: those that are missing come first.
pub fn three(axes: &[Axis]) -> [Axis; 3] {
    let mut all = [Axis::ONE; 3];
    all.iter_mut().rev().zip(axes.iter().rev()).for_each(|(to, from)| *to = *from);
    all
}

/// The rows that tap `k` of a channel joins: their length, and the first output and the first input of each. Inputs of a row are
/// the stride of the width apart.
pub fn rows(axes: &[Axis; 3], k: usize) -> (usize, impl Iterator<Item = (usize, usize)>) {
    let [depth, height, width] = *axes;
    let (kz, ky, kx) = (k / width.kernel / height.kernel, k / width.kernel % height.kernel, k % width.kernel);
    let columns = width.inside(kx);
    let slices = if columns.is_empty() { 0..0 } else { depth.inside(kz) };
    let rows = slices.flat_map(move |z| height.inside(ky).map(move |y| (z, y)));
    let first = move |(z, y): (usize, usize)| {
        let input = depth.source(z, kz) * height.input + height.source(y, ky);
        let output = (z * height.output + y) * width.output + columns.start;
        (output, input * width.input + width.source(columns.start, kx))
    };
    (width.inside(kx).len(), rows.map(first))
}

/// The dimensions of an operand that a graph gives as constants.
///
/// # Errors
/// [`Error::Shape`] naming `op` and the operand where one is a symbol.
pub fn constant(op: &str, name: &str, shape: &Shape) -> Result<Vec<usize>> {
    let dims: Option<Vec<usize>> = shape.0.iter().map(Dim::constant).collect();
    dims.ok_or_else(|| Error::shape(op, format!("'{name}' has the shape {shape}, expected constant dimensions")))
}

/// A convolution of given shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub batch: usize,
    /// Groups of channels, each with filters of its own.
    pub groups: usize,
    /// Input channels of a group.
    pub channels: usize,
    /// Output channels of a group.
    pub filters: usize,
    /// Depth, height and width; 1 where there is none.
    pub axes: [Axis; 3],
}

impl Geometry {
    /// Inputs of one channel.
    pub fn inputs(&self) -> usize {
        self.axes.iter().map(|a| a.input).product()
    }

    /// Taps of one channel.
    pub fn taps(&self) -> usize {
        self.axes.iter().map(|a| a.kernel).product()
    }

    /// The distance of tap `k` from the beginning of a window, in places along each axis; after the last tap comes the first again.
    pub fn tap(&self, k: usize) -> [usize; 3] {
        let [depth, height, width] = self.axes;
        let (row, slice) = (k / width.kernel, k / width.kernel / height.kernel);
        [slice % depth.kernel * depth.dilation, row % height.kernel * height.dilation, k % width.kernel * width.dilation]
    }

    /// Outputs of one channel.
    pub fn outputs(&self) -> usize {
        self.axes.iter().map(|a| a.output).product()
    }

    /// Whether there is one tap, which sees every input once, in its place.
    pub fn is_pointwise(&self) -> bool {
        self.axes.iter().all(|a| a.kernel == 1 && a.stride == 1 && a.pad == 0 && a.input == a.output)
    }

    /// Products that make one output.
    pub fn depth(&self) -> usize {
        self.channels * self.taps()
    }
}
