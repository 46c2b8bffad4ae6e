//! Copies that only move elements: transposes, slices, reversals, expansions, tiles, pads, and overlapping frames.

use super::{Input, Lowering, Rule, Tolerance, operands};
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::{Data, Tensor};

/// One dimension of the output: coordinate `c` reads place `start + step * c` of a run of `extent` elements of the input
/// that are `stride` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Dimension of the output.
    pub len: usize,
    /// Place of coordinate 0.
    pub start: i64,
    /// Places from one coordinate to the next.
    pub step: i64,
    /// Places that there are; what a place outside means is the [`Border`]'s matter.
    pub extent: usize,
    /// Elements from one place to the next.
    pub stride: usize,
}

/// What a place outside of an axis means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border {
    /// There are none.
    None,
    /// The element is this float.
    Float(f32),
    /// The element is this integer.
    Int(i64),
    /// The nearest place.
    Edge,
    /// Mirrored at the outermost places, which are not repeated.
    Reflect,
    /// Taken around, so that the run repeats.
    Wrap,
}

/// `out[c] = x[sum_d stride_d * place_d(c_d)]`, with the places of [`Axis`]. Input: `x` of any type. Output: the axes' lengths.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The output's dimensions.
    pub axes: Vec<Axis>,
    /// What places outside mean.
    pub border: Border,
}

/// Elements from one place to the next along every dimension of a row-major tensor.
pub fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d];
    }
    strides
}

impl View {
    /// All of a tensor of `shape` as it is: a start for views that change some axes.
    pub fn of(shape: &[usize]) -> Self {
        let axis = |(n, stride): (&usize, usize)| Axis { len: *n, start: 0, step: 1, extent: *n, stride };
        View { axes: shape.iter().zip(row_major(shape)).map(axis).collect(), border: Border::None }
    }

    /// Dimension `d` of the output is dimension `order[d]` of a tensor of `shape`.
    pub fn transpose(shape: &[usize], order: &[usize]) -> Self {
        let all = View::of(shape).axes;
        View { axes: order.iter().filter_map(|d| all.get(*d).copied()).collect(), border: Border::None }
    }

    /// The output's dimensions.
    pub fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|a| a.len).collect()
    }

    /// The input's element for every element of the output; `None` outside.
    fn sources(&self) -> Vec<Option<usize>> {
        let mut sources = vec![Some(0)];
        for axis in &self.axes {
            let places: Vec<Option<usize>> = (0..axis.len).map(|c| self.place(axis, c).map(|p| p * axis.stride)).collect();
            let with = |base: Option<usize>| places.iter().map(move |p| Some(base? + (*p)?));
            sources = sources.into_iter().flat_map(with).collect();
        }
        sources
    }

    fn place(&self, axis: &Axis, c: usize) -> Option<usize> {
        let (p, n) = (axis.start + axis.step * c as i64, axis.extent as i64);
        let inside = match self.border {
            Border::None | Border::Float(_) | Border::Int(_) => p,
            Border::Edge => p.clamp(0, n - 1),
            Border::Wrap => p.rem_euclid(n),
            Border::Reflect => {
                let period = (2 * n - 2).max(1);
                let q = p.rem_euclid(period);
                if q < n { q } else { period - q }
            }
        };
        usize::try_from(inside).ok().filter(|p| *p < axis.extent)
    }
}

impl Rule for View {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("View", inputs.to_vec())?;
        let refuse = |what: String| Err(Error::shape("View", what));
        let Some(count) = x.shape.0.iter().map(Dim::constant).try_fold(1usize, |n, d| n.checked_mul(d?)) else {
            return refuse(format!("'x' is {x}, expected constant dimensions"));
        };
        let reach = self.axes.iter().try_fold(0usize, |end, a| end.checked_add(a.extent.checked_sub(1)?.checked_mul(a.stride)?));
        if reach.is_none_or(|end| end >= count) {
            return refuse(format!("the axes {:?} leave 'x' {x}", self.axes));
        }
        if self.border == Border::None {
            let outside = |a: &&Axis| a.len > 0 && (self.place(a, 0).is_none() || self.place(a, a.len - 1).is_none());
            if let Some(axis) = self.axes.iter().find(outside) {
                return refuse(format!("the axis {axis:?} leaves 'x' {x}, and no border is said"));
            }
        }
        Ok(vec![TensorType::new(x.dtype, Shape::from(&self.shape()[..]))])
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let (float, int) = match self.border {
            Border::Float(x) => (x, x as i64),
            Border::Int(n) => (n as f32, n),
            _ => (0.0, 0),
        };
        let sources = self.sources();
        let data = match x.data() {
            Data::F32(v) => Data::F32(sources.iter().map(|s| s.map_or(float, |s| v[s])).collect()),
            Data::I64(v) => Data::I64(sources.iter().map(|s| s.map_or(int, |s| v[s])).collect()),
            Data::U32(v) => Data::U32(sources.iter().map(|s| s.map_or(int as u32, |s| v[s])).collect()),
            Data::F16(_) => return Err(Error::Unsupported("a view of f16".into())),
        };
        Ok(vec![Tensor::new(&self.shape(), data)?])
    }

    fn tolerance(&self, _: &[Input], _: &[Tensor]) -> Result<Vec<Tolerance>> {
        Ok(vec![Tolerance::Exact])
    }

    fn extremes(&self) -> Extremes {
        Extremes::Kept
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let (mode, value) = match self.border {
            Border::None | Border::Edge => (0, 0),
            Border::Float(x) => (1, x.to_bits()),
            Border::Int(n) => (1, n.clamp(i32::MIN.into(), i32::MAX.into()) as i32 as u32),
            Border::Wrap => (2, 0),
            Border::Reflect => (3, 0),
        };
        let axes: Vec<&Axis> = self.axes.iter().filter(|a| a.len > 1 || a.start != 0).collect();
        let mut params = vec![out.len() as u32, value, 0, 0];
        for axis in &axes {
            let signed = [axis.start, axis.step].map(|n| n.clamp(i32::MIN.into(), i32::MAX.into()) as i32 as u32);
            params.extend([axis.len as u32, signed[0], signed[1], axis.extent as u32, axis.stride as u32, 0, 0, 0]);
        }
        let kernel = Kernel::new("view").constant("RANK", axes.len() as u32).constant("BORDER", mode);
        let kernel = kernel.constant("AXES", axes.len().max(1) as u32);
        params.resize(params.len().max(12), 0);
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(kernel, params, grid).read(x.value).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        (4 * outputs[0].iter().product::<usize>()) as u64
    }
}
