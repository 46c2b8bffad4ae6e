//! Determinants of square matrices.

use super::indexing::{dims, product};
use super::scatter::walk_flops;
use super::{Input, Lowering, ROUNDING, Rule, Tolerance, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// The determinant of each matrix, by elimination with the largest element of a column as its pivot.
///
/// Input: `x` `[B.., n, n]` f32. Outputs: the determinants `[B..]` f32, and a work space `[n, n, B]` f32 of no meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Determinant;

/// `(matrices, n)` of a shape that ends in two equal dimensions.
fn square(shape: &[usize]) -> Option<(usize, usize)> {
    match shape {
        [batch @ .., rows, columns] if rows == columns => Some((product(batch), *rows)),
        _ => None,
    }
}

/// Makes the first n columns of a matrix of n rows of `width` elements upper triangular, and returns their determinant.
fn eliminate(a: &mut [f64], n: usize, width: usize) -> f64 {
    let mut determinant = 1.0;
    for k in 0..n {
        let size = |r: usize| a[r * width + k].abs();
        let pivot = (k + 1..n).fold(k, |best, r| if size(r) > size(best) { r } else { best });
        if pivot != k {
            (0..width).for_each(|c| a.swap(k * width + c, pivot * width + c));
            determinant = -determinant;
        }
        let (above, below) = a.split_at_mut((k + 1) * width);
        let row = &above[k * width..];
        determinant *= row[k];
        if row[k] == 0.0 {
            return 0.0;
        }
        for other in below.chunks_exact_mut(width) {
            let factor = other[k] / row[k];
            other.iter_mut().zip(row).skip(k).for_each(|(x, y)| *x -= factor * y);
        }
    }
    determinant
}

/// The sum of |cofactor i, j| times the sum of |U| in column j, where U is what [`eliminate`] leaves.
///
/// The cofactors are those of the inverse times the determinant. Where there is none, Hadamard's inequality bounds them: none
/// is larger than the product of the lengths of all other rows.
fn sensitivity(x: &[f32], n: usize) -> f64 {
    let width = 2 * n;
    let mut a: Vec<f64> = vec![0.0; n * width];
    for (i, row) in a.chunks_exact_mut(width).enumerate() {
        row.iter_mut().zip(&x[i * n..(i + 1) * n]).for_each(|(a, x)| *a = f64::from(*x));
        row[n + i] = 1.0;
    }
    let determinant = eliminate(&mut a, n, width);
    let columns: Vec<f64> = (0..n).map(|j| (0..n).map(|k| a[k * width + j].abs()).sum()).collect();
    if determinant == 0.0 {
        let length = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let lengths: Vec<f64> = x.chunks_exact(n).map(length).collect();
        let others = |i: usize| lengths.iter().enumerate().filter(|(k, _)| *k != i).map(|(_, l)| l).product::<f64>();
        return (0..n).map(others).sum::<f64>() * columns.iter().sum::<f64>();
    }
    let mut sum = 0.0;
    for i in (0..n).rev() {
        for c in n..width {
            let known: f64 = (i + 1..n).map(|k| a[i * width + k] * a[k * width + c]).sum();
            a[i * width + c] = (a[i * width + c] - known) / a[i * width + i];
            sum += columns[i] * (a[i * width + c] * determinant).abs();
        }
    }
    sum
}

impl Rule for Determinant {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [x] = operands("Determinant", inputs.to_vec())?;
        let shape = dims("Determinant", "x", x)?;
        let Some((matrices, n)) = square(&shape).filter(|_| x.dtype == DType::F32) else {
            return Err(Error::shape("Determinant", format!("operand 'x' is {x}, expected square matrices of f32")));
        };
        let shapes = [Shape::from(&shape[..shape.len() - 2]), Shape::from(&[n, n, matrices][..])];
        Ok(shapes.map(|s| TensorType::new(DType::F32, s)).to_vec())
    }

    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>> {
        let x = inputs[0].dense()?;
        let (matrices, n) = square(x.shape()).unwrap_or_default();
        let matrix = |m: usize| x.as_f32().map(|v| &v[m * n * n..(m + 1) * n * n]);
        let determinant =
            |m: usize| Ok(eliminate(&mut matrix(m)?.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), n, n) as f32);
        let values = (0..matrices).map(determinant).collect::<Result<Vec<f32>>>()?;
        let shape = &x.shape()[..x.shape().len().saturating_sub(2)];
        Ok(vec![Tensor::f32(shape, values)?, Tensor::zeros(DType::F32, &[n, n, matrices])?])
    }

    /// Elimination in f32 gives the exact factors of a matrix that is off by E, with `|E i, j| <= (n + 5) roundings` times the
    /// sum of |U| in column j (Higham, Accuracy and Stability of Numerical Algorithms, theorem 9.3, with pivots no smaller than
    /// what they divide; 5 for divisions of 2.5 units); the determinant moves by the sum of E times the cofactors, and n
    /// products round again. Twice that allows for other pivots and for higher powers of E.
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let x = inputs[0].dense()?;
        let (_, n) = square(x.shape()).unwrap_or_default();
        let bound = |(m, value): (usize, &f32)| {
            let moved = sensitivity(&x.as_f32()?[m * n * n..(m + 1) * n * n], n) * (n + 5) as f64;
            Ok((2.0 * f64::from(ROUNDING) * (moved + n as f64 * f64::from(value.abs()))) as f32 + f32::MIN_POSITIVE)
        };
        let allowed = outputs[0].as_f32()?.iter().enumerate().map(bound).collect::<Result<Vec<f32>>>()?;
        Ok(vec![Tolerance::Absolute(allowed), Tolerance::Absolute(vec![f32::INFINITY; outputs[1].len()])])
    }

    /// One lane for each matrix. Their copies in the work space lie interleaved, so that neighbouring lanes meet neighbouring
    /// words.
    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, out, work) = (&cx.inputs[0], &cx.outputs[0], &cx.outputs[1]);
        let params = vec![out.len() as u32, x.columns() as u32];
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        let dispatch = Dispatch::new(Kernel::new("determinant"), params, grid);
        cx.emit(dispatch.read(x.value).write(out.value).write(work.value));
        Ok(())
    }

    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        let n = inputs[0].last().copied().unwrap_or(1);
        walk_flops(product(&outputs[0]), n * n, n + 4)
    }
}
