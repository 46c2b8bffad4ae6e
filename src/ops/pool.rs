//! Pooling: maxima, means and norms of windows.

use rayon::prelude::*;

use super::view::row_major;
use super::{Input, Lowering, Rule, Tolerance, kind_of, operands, sum_error};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::expr::{Function, Kind, Operator, Scalar};
use crate::kernel::{Dispatch, Expr, Extremes, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::{Data, Tensor};

/// What a window is reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The first of its greatest elements; NaN counts as minus infinity. A window without elements yields the lowest number.
    Max {
        /// Whether, and how counted, a second output says where the maximum lies.
        indices: Option<IndexOrder>,
    },
    /// The mean; 0 of nothing.
    Average {
        /// Whether places in the padding count as zeros.
        count_include_pad: bool,
    },
    /// `(sum |x|^p)^(1/p)`.
    Lp {
        /// The power, at least 1.
        p: u32,
    },
}

/// How the places of one plane are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexOrder {
    /// The last spatial dimension varies fastest.
    RowMajor,
    /// The first spatial dimension varies fastest.
    ColumnMajor,
}

/// One spatial dimension of pooling: tap `t` of window `o` lies at `o * stride - begin + t * dilation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolAxis {
    /// Windows, the output's length.
    pub windows: usize,
    /// Taps of a window.
    pub kernel: usize,
    /// Places from one window to the next.
    pub stride: usize,
    /// Places from one tap to the next.
    pub dilation: usize,
    /// Padding before the first place.
    pub begin: usize,
    /// Padding behind the last place.
    pub end: usize,
}

/// Pools windows of one to three spatial dimensions.
///
/// Input: `x` `[N, C, spatial..]`, f32, or i64 where the maximum is asked for. Output `[N, C, windows..]` as `x`; and, where
/// asked for, i64 of the same shape: the place of the maximum in all of `x`, each plane counted in the order asked for, -1 for
/// a window without elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// What a window is reduced to.
    pub kind: PoolKind,
    /// The spatial dimensions.
    pub axes: Vec<PoolAxis>,
}

/// A spatial dimension with the input's length.
#[derive(Clone, Copy)]
struct Window {
    axis: PoolAxis,
    len: usize,
    /// What one place adds to an index of the maximum.
    step: usize,
}

impl Window {
    /// The places inside of window `o`, and how many taps are inside or in the padding.
    fn taps(&self, o: usize) -> (impl Iterator<Item = usize> + Clone + use<>, usize) {
        let PoolAxis { kernel, stride, dilation, begin, end, .. } = self.axis;
        let start = o * stride;
        let below = |place: usize| place.saturating_sub(start).div_ceil(dilation).min(kernel);
        let inside = below(begin)..below(begin + self.len);
        (inside.map(move |t| start + t * dilation - begin), below(begin + self.len + end))
    }
}

/// The windows of a whole tensor, with three spatial dimensions, the first of which may be one place.
struct Windows {
    dims: [Window; 3],
    /// Elements of a plane.
    plane: usize,
    /// Planes: `N * C`.
    planes: usize,
}

impl Windows {
    fn new(op: &Pool, x: &[usize]) -> Self {
        let single = PoolAxis { windows: 1, kernel: 1, stride: 1, dilation: 1, begin: 0, end: 0 };
        let mut dims = [Window { axis: single, len: 1, step: 0 }; 3];
        let spatial = &x[2..];
        let steps = match op.kind {
            PoolKind::Max { indices: Some(IndexOrder::ColumnMajor) } => {
                spatial.iter().scan(1, |step, len| Some(std::mem::replace(step, *step * len))).collect()
            }
            _ => row_major(spatial),
        };
        let windows = op.axes.iter().zip(spatial).zip(steps).map(|((axis, len), step)| Window { axis: *axis, len: *len, step });
        dims.iter_mut().skip(3 - spatial.len()).zip(windows).for_each(|(dim, window)| *dim = window);
        Windows { dims, plane: spatial.iter().product(), planes: x[..2].iter().product() }
    }

    fn count(&self) -> usize {
        self.planes * self.dims.iter().map(|d| d.axis.windows).product::<usize>()
    }

    /// Whether `pool_max_runs` suits: two dimensions without dilation, windows with an element each.
    fn suit_runs(&self) -> bool {
        let inside = |Window { axis: a, len, .. }: &Window| {
            let last = a.windows.saturating_sub(1) * a.stride;
            a.windows > 0 && a.dilation == 1 && a.begin < a.kernel && last < len + a.begin
        };
        let [depth, ..] = &self.dims;
        depth.len == 1 && depth.axis.windows == 1 && depth.axis.kernel == 1 && self.dims.iter().all(inside)
    }

    /// Folds the elements of window `i`, given where each lies in `x` and its index; yields with it the taps inside or in the
    /// padding.
    fn fold<T>(&self, i: usize, begin: T, mut f: impl FnMut(T, usize, usize) -> T) -> (T, usize) {
        let [dz, dy, dx] = &self.dims;
        let (row, x) = (i / dx.axis.windows, i % dx.axis.windows);
        let (slice, y) = (row / dy.axis.windows, row % dy.axis.windows);
        let base = slice / dz.axis.windows * self.plane;
        let ((zs, z_taps), (ys, y_taps), (xs, x_taps)) = (dz.taps(slice % dz.axis.windows), dy.taps(y), dx.taps(x));
        let mut value = begin;
        for z in zs {
            for y in ys.clone() {
                for x in xs.clone() {
                    let index = z * dz.step + y * dy.step + x * dx.step;
                    value = f(value, base + (z * dy.len + y) * dx.len + x, base + index);
                }
            }
        }
        (value, z_taps * y_taps * x_taps)
    }

    /// For each window the element with the greatest key (or `lowest`) and its index (or -1).
    fn maxima<T: Copy + Send + Sync, K: PartialOrd>(&self, x: &[T], lowest: T, key: fn(T) -> K) -> (Vec<T>, Vec<i64>) {
        let better = |best: (T, i64), at: usize, index: usize| {
            if best.1 < 0 || key(x[at]) > key(best.0) { (x[at], index as i64) } else { best }
        };
        (0..self.count()).into_par_iter().map(|i| self.fold(i, (lowest, -1), better).0).unzip()
    }

    /// For each window the sum of `f` of its elements.
    fn sums(&self, x: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<WindowSum> {
        // In f64: the elements may be many and of one sign.
        let sum = |i: usize| {
            let ((sum, inside), padded) = self.fold(i, (0.0f64, 0), |(sum, n), at, _| (sum + f64::from(f(x[at])), n + 1));
            WindowSum { sum: sum as f32, inside, padded }
        };
        (0..self.count()).into_par_iter().map(sum).collect()
    }
}

/// The sum over a window, of how many elements, and of how many with those in the padding.
struct WindowSum {
    sum: f32,
    inside: usize,
    padded: usize,
}

impl Pool {
    /// What is summed, of an element.
    fn term(&self) -> Expr {
        let x = || Expr::operand(0);
        match self.kind {
            PoolKind::Max { .. } | PoolKind::Average { .. } => x(),
            PoolKind::Lp { p: 1 } => Expr::call(Function::Abs, x()),
            PoolKind::Lp { p: 2 } => Expr::product(x(), x()),
            PoolKind::Lp { p } => Expr::binary(Operator::Pow, Expr::call(Function::Abs, x()), Expr::float(p as f32)),
        }
    }

    /// What becomes of a window's sum.
    fn finish(&self, window: &WindowSum) -> Expr {
        let sum = Expr::operand(0);
        match self.kind {
            PoolKind::Max { .. } | PoolKind::Lp { p: 1 } => sum,
            PoolKind::Average { count_include_pad } => {
                let taps = if count_include_pad { window.padded } else { window.inside };
                Expr::binary(Operator::Div, sum, Expr::float(taps.max(1) as f32))
            }
            PoolKind::Lp { p: 2 } => Expr::call(Function::Sqrt, sum),
            PoolKind::Lp { p } => Expr::binary(Operator::Pow, sum, Expr::float(1.0 / p as f32)),
        }
    }

    fn indices(&self) -> bool {
        matches!(self.kind, PoolKind::Max { indices: Some(_) })
    }
}

impl Rule for Pool {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("Pool", inputs.to_vec())?;
        let refuse = |what: String| Err(Error::shape("Pool", what));
        let kind = kind_of("Pool", x)?;
        if kind == Kind::Int && !matches!(self.kind, PoolKind::Max { .. }) {
            return refuse(format!("{:?} cannot be taken of 'x' {x}", self.kind));
        }
        let spatial: Option<Vec<usize>> = x.shape.0.iter().skip(2).map(Dim::constant).collect();
        let Some(spatial) = spatial.filter(|s| (1..=3).contains(&s.len()) && s.len() == self.axes.len() && x.shape.rank() > 2)
        else {
            return refuse(format!("'x' is {x}, expected [N, C] and {} constant dimensions, one to three", self.axes.len()));
        };
        // Kernels count places in 31 bits.
        let end = |a: &PoolAxis, len: usize| {
            let last = a.windows.saturating_sub(1).checked_mul(a.stride)?.checked_add(a.kernel.checked_mul(a.dilation)?)?;
            last.max(len.checked_add(a.begin)?.checked_add(a.end)?).checked_add(a.dilation)
        };
        let fits = |(a, len): (&PoolAxis, &usize)| {
            a.kernel.min(a.stride).min(a.dilation) > 0 && end(a, *len).is_some_and(|end| end <= i32::MAX as usize)
        };
        if !self.axes.iter().zip(&spatial).all(fits) || matches!(self.kind, PoolKind::Lp { p: 0 }) {
            return refuse(format!("windows {:?} {:?} are impossible over 'x' {x}", self.kind, self.axes));
        }
        let windows = self.axes.iter().map(|a| Dim::Const(a.windows));
        let shape = Shape(x.shape.0[..2].iter().cloned().chain(windows).collect());
        let values = TensorType::new(x.dtype, shape.clone());
        let indices = self.indices().then(|| TensorType::new(DType::I64, shape));
        Ok([values].into_iter().chain(indices).collect())
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let windows = Windows::new(self, x.shape());
        let shape = [&x.shape()[..2], &self.axes.iter().map(|a| a.windows).collect::<Vec<_>>()].concat();
        let (values, indices) = match (self.kind, x.data()) {
            (PoolKind::Max { .. }, Data::I64(x)) => {
                let (values, indices) = windows.maxima(x, i64::from(i32::MIN), |x| x);
                (Tensor::i64(&shape, values)?, indices)
            }
            (PoolKind::Max { .. }, _) => {
                let (values, indices) = windows.maxima(x.as_f32()?, f32::MIN, |x| if x.is_nan() { f32::NEG_INFINITY } else { x });
                (Tensor::f32(&shape, values)?, indices)
            }
            _ => {
                let term = self.term();
                let sums = windows.sums(x.as_f32()?, |x| term.eval_f32(&|_| x));
                let values = sums.iter().map(|window| self.finish(window).eval_f32(&|_| window.sum));
                (Tensor::f32(&shape, values.collect())?, Vec::new())
            }
        };
        let indices = self.indices().then(|| Tensor::i64(&shape, indices)).transpose()?;
        Ok([values].into_iter().chain(indices).collect())
    }

    /// The error of a sum is [`sum_error`] of the sum of magnitudes, and what the terms are off; [`Expr::bound`] knows what
    /// becomes of it. Maxima are exact.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        if matches!(self.kind, PoolKind::Max { .. }) {
            return Ok(vec![Tolerance::Exact; outputs.len()]);
        }
        let x = inputs[0].dense()?;
        let windows = Windows::new(self, x.shape());
        let term = self.term();
        let value = |x: f32| term.eval_f32(&|_| x);
        let sums = windows.sums(x.as_f32()?, value);
        let magnitudes = windows.sums(x.as_f32()?, |x| value(x).abs());
        let errors = windows.sums(x.as_f32()?, |x| term.bound(&|_| Scalar::Float(x), &|_| 0.0).1);
        let bound = |i: usize| {
            let error = errors[i].sum + sum_error(sums[i].inside) * magnitudes[i].sum;
            self.finish(&sums[i]).bound(&|_| Scalar::Float(sums[i].sum), &|_| error).1
        };
        Ok(vec![Tolerance::Absolute((0..sums.len()).map(bound).collect())])
    }

    fn extremes(&self) -> Extremes {
        if matches!(self.kind, PoolKind::Max { .. }) { Extremes::Kept } else { Extremes::Finite }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out) = (&cx.inputs[0], &cx.outputs[0]);
        let int = x.dtype == DType::I64;
        let windows = Windows::new(self, &x.shape);
        // Measured on lavapipe: four windows of a row take a quarter of the time of four invocations.
        let runs = cx.caps.width == Width::Narrow && windows.suit_runs();
        let mut count = out.len();
        let kernel = match self.kind {
            PoolKind::Max { indices } => {
                let lowest = if int { i32::MIN as u32 } else { f32::MIN.to_bits() };
                let link = |shader| Kernel::new(shader).constant("INT", int.into()).constant("LOWEST", lowest);
                match indices {
                    None if runs => {
                        let width = out.columns();
                        count = out.len() / width * width.div_ceil(4);
                        link("pool_max_runs")
                    }
                    None => link("pool_max").provider("pool/values"),
                    Some(_) => link("pool_max").provider("pool/indices"),
                }
            }
            PoolKind::Average { count_include_pad } => {
                Kernel::new("pool_sum").constant("POWER", 0).constant("PADDED", count_include_pad.into())
            }
            PoolKind::Lp { p } => Kernel::new("pool_sum").constant("POWER", p).constant("PADDED", 0),
        };
        cx.check_iterations(windows.dims.iter().rev().fold(0, |n, d| (n + 1).saturating_mul(d.axis.kernel.min(d.len))))?;
        let mut params = vec![out.len() as u32, 0, 0, 0];
        for Window { axis, len, step } in windows.dims {
            let PoolAxis { windows, kernel, stride, dilation, begin, end } = axis;
            params.extend([len, windows, kernel, stride, begin, len + end, dilation, step].map(|n| n as u32));
        }
        let grid = linear_grid(count.div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(kernel.provider("pool/window"), params, grid).read(x.value);
        let dispatch = cx.outputs.iter().fold(dispatch, |dispatch, out| dispatch.write(out.value));
        cx.emit(dispatch);
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let taps = self.axes.iter().fold(4u64, |n, a| n.saturating_mul(a.kernel as u64));
        taps.saturating_mul(outputs[0].iter().product::<usize>() as u64)
    }
}
