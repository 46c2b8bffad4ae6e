//! Discrete Fourier transforms, as products with constant matrices.

use std::f64::consts::PI;

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::formula::Formula;
use super::linear::mat_mul;
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::ops::View;
use crate::ops::view::Border;
use crate::tensor::Tensor;

/// The most elements of a transform's matrix; longer transforms are made of shorter ones.
pub const LARGEST_MATRIX: usize = 1 << 24;

/// What a transform makes of complex numbers, or of real ones.
#[derive(Clone, Copy, Debug)]
pub struct Transform {
    /// Points of the whole signal or spectrum.
    pub length: usize,
    /// From a spectrum to a signal.
    pub inverse: bool,
    /// Only the half of the spectrum that determines that of a real signal.
    pub one_sided: bool,
    /// Points that are there; what a signal lacks is 0.
    pub points: usize,
    /// 1 for real numbers, 2 for complex ones.
    pub numbers: usize,
}

impl Transform {
    /// Points of the result, and numbers of each.
    pub fn result(&self) -> (usize, usize) {
        match (self.one_sided, self.inverse) {
            (false, _) => (self.length, 2),
            (true, false) => (self.length / 2 + 1, 2),
            (true, true) => (self.length, 1),
        }
    }

    fn shape(&self) -> [usize; 2] {
        let (results, parts) = self.result();
        [self.points * self.numbers, results * parts]
    }

    /// Whether one product does it.
    pub fn fits(&self) -> bool {
        let [rows, columns] = self.shape();
        rows.checked_mul(columns).is_some_and(|n| n <= LARGEST_MATRIX)
    }

    /// The transform of rows `[R, points numbers]`: `[R, results numbers]`.
    pub fn apply(&self, cx: &mut Context, rows: &Value) -> Traced<Value> {
        if !self.fits() {
            return self.split(cx, rows);
        }
        let matrix = self.matrix(cx)?;
        mat_mul(cx, rows, &matrix)
    }

    /// The transform of N = a b points as b transforms of a points and a of b (Cooley and Tukey 1965,
    /// doi:10.1090/S0025-5718-1965-0178586-1): with n = b n1 + n2 and k = k1 + a k2, those over n1 are turned by n2 k1 / N.
    fn split(&self, cx: &mut Context, rows: &Value) -> Traced<Value> {
        let (n, count) = (self.length, rows.shape[0]);
        let a = (2..=n.isqrt()).rev().find(|a| n.is_multiple_of(*a)).filter(|_| !(self.one_sided && self.inverse));
        let a = a.ok_or_else(|| cx.unsupported(format!("a Fourier transform of {n} points")))?;
        let b = n / a;
        let mut all = View { border: Border::Float(0.0), ..View::of(&[count, self.points, self.numbers]) };
        all.axes[1].len = n;
        let x = cx.apply(all, &[rows], rows.ty)?;
        let x = cx.reshape(&x, &[count, a, b, self.numbers])?;
        let x = cx.transpose(&x, &[0, 2, 1, 3])?;
        let part = |length: usize, numbers: usize| Transform { length, points: length, numbers, one_sided: false, ..*self };
        let x = cx.reshape(&x, &[count * b, a * self.numbers])?;
        let x = part(a, self.numbers).apply(cx, &x)?;
        let x = cx.reshape(&x, &[count, b, a, 2])?;
        let x = self.turned(cx, &x)?;
        let x = cx.transpose(&x, &[0, 2, 1, 3])?;
        let x = cx.reshape(&x, &[count * a, b * 2])?;
        let x = part(b, 2).apply(cx, &x)?;
        let x = cx.reshape(&x, &[count, a, b, 2])?;
        let x = cx.transpose(&x, &[0, 2, 1, 3])?;
        let x = cx.reshape(&x, &[count, n * 2])?;
        cx.slice(&x, 1, 0, self.shape()[1])
    }

    /// Complex numbers `[R, b, a, 2]` times `e^(-2 pi i n k / N)` of their places n and k along b and a, or its conjugate.
    fn turned(&self, cx: &mut Context, x: &Value) -> Traced<Value> {
        let &[_, b, a, _] = &x.shape[..] else { return Err(cx.error("expected complex numbers")) };
        let angle = |i: usize| self.angle(i / a, i % a);
        let mut made = cx.derive(&format!("turns {self:?}"), &[], |_| {
            let table = |f: fn(f64) -> f64| Tensor::f32(&[b, a, 1], (0..a * b).map(|i| f(angle(i)) as f32).collect());
            Ok(vec![(ElementType::Float, table(f64::cos)?), (ElementType::Float, table(f64::sin)?)])
        })?;
        let (Some(sin), Some(cos)) = (made.pop(), made.pop()) else { return Err(cx.error("no table")) };
        // Each part with the other of its number in its place.
        let mut other = View::of(&x.shape);
        (other.axes[3].start, other.axes[3].step) = (1, -1);
        let other = cx.apply(other, &[x], x.ty)?;
        let signs = cx.float_list(&[2], vec![-1.0, 1.0])?;
        let mut formula = Formula::default();
        let along = Expr::product(formula.operand(x), formula.operand(&cos));
        let across = Expr::product(formula.operand(&other), formula.operand(&sin));
        let sum = Expr::sum(along, Expr::product(formula.operand(&signs), across));
        formula.compute(cx, sum, x.ty)
    }

    /// The angle of `e^(-2 pi i n k / N)`, or of its conjugate.
    fn angle(&self, n: usize, k: usize) -> f64 {
        let turns = (n as u128 * k as u128 % self.length as u128) as f64 / self.length as f64;
        2.0 * PI * turns * if self.inverse { 1.0 } else { -1.0 }
    }

    /// The matrix `[points numbers, results numbers]` by which rows of points are multiplied: `e^(-2 pi i n k / N)` of point n and
    /// result k, or its conjugate over N.
    pub fn matrix(&self, cx: &mut Context) -> Traced<Value> {
        let [rows, columns] = self.shape();
        if !self.fits() {
            return Err(cx.unsupported(format!("a Fourier transform of {} points", self.length)));
        }
        let mut made = cx.derive(&format!("{self:?}"), &[], |_| {
            let entry = |i: usize| self.entry(i / columns, i % columns) as f32;
            Ok(vec![(ElementType::Float, Tensor::f32(&[rows, columns], (0..rows * columns).map(entry).collect())?)])
        })?;
        made.pop().ok_or_else(|| cx.error("no matrix"))
    }

    fn entry(&self, row: usize, column: usize) -> f64 {
        let parts = self.result().1;
        let (n, imaginary) = (row / self.numbers, row % self.numbers == 1);
        let (k, to_imaginary) = (column / parts, column % parts == 1);
        let angle = self.angle(n, k);
        let value = match (imaginary, to_imaginary) {
            (false, false) | (true, true) => angle.cos(),
            (false, true) => angle.sin(),
            (true, false) => -angle.sin(),
        };
        // The other half of a real signal's spectrum is the conjugate of the one that is there.
        let mirrored = self.one_sided && self.inverse && n != 0 && 2 * n != self.length;
        let scale = if self.inverse { 1.0 / self.length as f64 } else { 1.0 };
        // What comes of the parts of it that a real signal does not have is left out.
        let real_alone = self.one_sided && self.inverse && !mirrored && imaginary;
        value
            * scale
            * if real_alone {
                0.0
            } else if mirrored {
                2.0
            } else {
                1.0
            }
    }
}
