//! The windows of a convolution over bytes, each as one row: what makes it a product.

use rayon::prelude::*;

use super::conv::geometry::{Axis, Window, constant, three};
use super::{Input, Lowering, Rule, Tolerance};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::{Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// `out[n, o, k] = x[n, o stride + k dilation - pads_begin]` with `o` and `k` over all spatial dimensions, and with bytes of `outside`
/// around `x`.
///
/// Input: `x` `[N, spatial.., W]`, words of four bytes as [`PackBytes`](super::PackBytes) makes them of the channels. Output
/// `[N, outputs, taps * W]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ByteWindows {
    /// Taps of a window, by spatial dimension.
    pub kernel: Vec<usize>,
    /// Inputs from one output to the next, by spatial dimension.
    pub strides: Vec<usize>,
    /// Places before the first input, by spatial dimension.
    pub pads_begin: Vec<usize>,
    /// Places after the last input, by spatial dimension.
    pub pads_end: Vec<usize>,
    /// Inputs from one tap to the next, by spatial dimension.
    pub dilations: Vec<usize>,
    /// The byte that stands for 0.
    pub outside: i8,
}

impl ByteWindows {
    /// The spatial dimensions for `x` of that shape: depth, height, width.
    fn axes(&self, x: &[usize]) -> Result<[Axis; 3]> {
        let rank = x.len().saturating_sub(2);
        if !(1..=3).contains(&rank) || self.kernel.len() != rank {
            let what = format!("'x' {x:?} under {:?}, expected [N, .., W] with 1 to 3 spatial dimensions", self.kernel);
            return Err(Error::shape("ByteWindows", what));
        }
        let ByteWindows { strides, pads_begin, pads_end, dilations, .. } = self;
        let window = Window { strides, pads_begin, pads_end, dilations };
        window.check("ByteWindows", rank)?;
        let axis = |d: usize| window.axis("ByteWindows", d, x[d + 1], self.kernel[d]);
        Ok(three(&(0..rank).map(axis).collect::<Result<Vec<Axis>>>()?))
    }

    /// The windows by spatial dimension over `x` of that shape.
    ///
    /// # Errors
    /// [`Error::Shape`] when the windows do not fit.
    pub fn outputs(&self, x: &[usize]) -> Result<Vec<usize>> {
        Ok(self.axes(x)?.iter().skip(3 - self.kernel.len()).map(|a| a.output).collect())
    }

    /// Whether each place is a window of its own.
    pub fn is_pointwise(&self) -> bool {
        let are = |list: &[usize], n: usize| list.iter().all(|m| *m == n);
        are(&self.kernel, 1) && are(&self.strides, 1) && are(&self.pads_begin, 0) && are(&self.pads_end, 0)
    }

    /// The output's shape.
    fn shape(&self, x: &[usize]) -> Result<Vec<usize>> {
        let axes = self.axes(x)?;
        let of = |f: fn(&Axis) -> usize| axes.iter().map(f).try_fold(1usize, usize::checked_mul);
        let (outputs, taps) = (of(|a| a.output), of(|a| a.kernel));
        let sizes = outputs.zip(taps).zip(x.first().zip(x.last()));
        let shape = sizes.and_then(|((outputs, taps), (n, w))| Some(vec![*n, outputs, taps.checked_mul(*w)?]));
        let fits = |s: &Vec<usize>| s.iter().chain([&8]).try_fold(1usize, |n, d| n.checked_mul(*d)).is_some();
        shape.filter(fits).ok_or_else(|| Error::shape("ByteWindows", format!("{x:?} has more windows than an address can name")))
    }

    /// The word that stands for four zeros.
    fn fill(&self) -> i32 {
        i32::from_le_bytes([self.outside as u8; 4])
    }
}

/// The input of output `o` for tap `k`, if it is one that there is.
fn source(axis: &Axis, o: usize, k: usize) -> Option<usize> {
    (o * axis.stride + k * axis.dilation).checked_sub(axis.pad).filter(|i| *i < axis.input)
}

impl Rule for ByteWindows {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = inputs else { return Err(Error::shape("ByteWindows", format!("takes an operand, got {}", inputs.len()))) };
        let shape = constant("ByteWindows", "x", &x.shape)?;
        if x.dtype != DType::I64 || shape.last().is_none_or(|w| !w.is_multiple_of(4)) {
            return Err(Error::shape("ByteWindows", format!("'x' is {x}, expected words in fours")));
        }
        Ok(vec![TensorType::new(DType::I64, Shape::from(&self.shape(&shape)?[..]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let shape = self.shape(x.shape())?;
        let [depth, height, width] = self.axes(x.shape())?;
        let (w, words, outputs) = (x.columns(), x.as_i64()?, shape[1]);
        let taps = depth.kernel * height.kernel * width.kernel;
        let mut out = vec![i64::from(self.fill()); shape.iter().product()];
        out.par_chunks_mut(w.max(1)).enumerate().for_each(|(at, out)| {
            let (n, o, k) = (at / taps / outputs, at / taps % outputs, at % taps);
            let (oy, ky) = (o / width.output, k / width.kernel);
            let z = source(&depth, oy / height.output, ky / height.kernel);
            let y = source(&height, oy % height.output, ky % height.kernel);
            let x = source(&width, o % width.output, k % width.kernel);
            if let (Some(z), Some(y), Some(x)) = (z, y, x) {
                let place = ((n * depth.input + z) * height.input + y) * width.input + x;
                out.copy_from_slice(&words[place * w..][..w]);
            }
        });
        Ok(vec![Tensor::i64(&shape, out)?])
    }

    /// Words are copied.
    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let axes = self.axes(&x.shape)?;
        let quads = x.columns() / 4;
        // By reasoning: neighbours on wide devices write neighbouring quads; on narrow ones the divisions that find a place cost more
        // than a copy, and are made once for a row of taps.
        let run = match cx.caps.width {
            Width::Wide => 1,
            Width::Narrow => axes[2].kernel * quads,
        };
        cx.check_iterations(run)?;
        let count = out.len() / 4 / run.max(1);
        let mut params = [count as u32, quads as u32, self.fill() as u32, run as u32].to_vec();
        params.extend(axes.iter().flat_map(Axis::words));
        let grid = linear_grid(count.div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(Kernel::new("byte_windows"), params, grid).read(x.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        outputs[0].iter().product::<usize>() as u64
    }
}
