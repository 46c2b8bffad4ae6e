//! The definition of a convolution, on the CPU.

use rayon::prelude::*;

use super::geometry::{Axis, Geometry, rows};

/// Elements of a convolution.
pub trait Element: Copy + Default + Send + Sync + PartialEq {
    /// `self + w * x`.
    fn plus_product(self, w: Self, x: Self) -> Self;
}

impl Element for f32 {
    fn plus_product(self, w: f32, x: f32) -> f32 {
        self + w * x
    }
}

/// Integers wrap, on the host as on devices.
impl Element for i64 {
    fn plus_product(self, w: i64, x: i64) -> i64 {
        self.wrapping_add(w.wrapping_mul(x))
    }
}

/// `out[n, m, o] = sum_c sum_k weight[m, c, k] * x[n, c, o * stride + k * dilation - pad]`, one product after another: each
/// output channel walks its weights, and each weight adds to whole rows of outputs.
pub fn convolve<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let (plane, filters) = (g.outputs(), g.groups * g.filters);
    let mut out = vec![T::default(); g.batch * filters * plane];
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(plane).enumerate().for_each(|(i, out)| {
        let (n, m) = (i / filters, i % filters);
        let first = (n * g.groups + m / g.filters) * g.channels;
        for c in 0..g.channels {
            let x = &x[(first + c) * g.inputs()..][..g.inputs()];
            let weight = &weight[(m * g.channels + c) * g.taps()..][..g.taps()];
            add_channel(&g.axes, x, weight, out);
        }
    });
    out
}

/// Adds one channel's part to the outputs of one plane.
fn add_channel<T: Element>(axes: &[Axis; 3], x: &[T], weight: &[T], out: &mut [T]) {
    let stride = axes[2].stride;
    for (k, w) in weight.iter().enumerate() {
        let (len, rows) = rows(axes, k);
        for (to, from) in rows {
            let (out, x) = (&mut out[to..to + len], &x[from..]);
            if stride == 1 {
                out.iter_mut().zip(x).for_each(|(out, x)| *out = out.plus_product(*w, *x));
            } else {
                out.iter_mut().zip(x.iter().step_by(stride)).for_each(|(out, x)| *out = out.plus_product(*w, *x));
            }
        }
    }
}
