//! Draws from given probabilities, with the numbers of [`crate::ops::random`].

use super::expect_at_most;
use crate::error::{Error, Result};
use crate::ops::random::unit;
use crate::tensor::Tensor;

/// `samples` classes for each row, each drawn with a probability in proportion to the exponential of its element: i64 `[rows,
/// samples]` from `logits` f32 `[rows, classes]`.
///
/// # Errors
/// [`Error::Shape`] unless `logits` has that type and rank, when a row has no class that is possible, and when there would be
/// more than [`super::MOST`] samples.
pub fn multinomial(logits: &Tensor, samples: usize, seed: u32) -> Result<Tensor> {
    let [rows, classes] = *logits.shape() else {
        return Err(Error::shape("Multinomial", format!("'logits' has the shape {:?}, expected two dimensions", logits.shape())));
    };
    let count = expect_at_most("Multinomial", rows.checked_mul(samples))?;
    let values = logits.as_f32()?;
    let mut out = Vec::with_capacity(count);
    for r in 0..rows {
        let row = &values[r * classes..(r + 1) * classes];
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        let mut add = |x: &f32| {
            sum += f64::from(x - largest).exp();
            sum
        };
        let sums: Vec<f64> = row.iter().map(&mut add).collect();
        if !(sum.is_finite() && sum > 0.0) {
            return Err(Error::shape("Multinomial", format!("row {r} of 'logits' has no finite sum of probabilities")));
        }
        for s in 0..samples {
            let wanted = f64::from(unit(seed, r * samples + s)) * sum;
            out.push(sums.partition_point(|sum| *sum <= wanted) as i64);
        }
    }
    Tensor::i64(&[rows, samples], out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits: Vec<f32> = [0.5f32, 0.0, 0.125, 0.375].map(f32::ln).to_vec();
        let draws = multinomial(&Tensor::f32(&[1, 4], logits).unwrap(), 100_000, 4).unwrap();
        for (class, expected) in [50_000, 0, 12_500, 37_500].into_iter().enumerate() {
            let found = draws.as_i64().unwrap().iter().filter(|c| **c == class as i64).count();
            // The standard error is up to 158.
            assert!(found.abs_diff(expected) < if expected == 0 { 1 } else { 650 }, "class {class}: {found}");
        }
    }

    #[test]
    fn certain_outcomes_are_certain() {
        for seed in 0..50 {
            let logits = Tensor::f32(&[2, 2], vec![f32::NEG_INFINITY, -1e30, 3e38, f32::NEG_INFINITY]).unwrap();
            assert_eq!(multinomial(&logits, 1, seed).unwrap().as_i64().unwrap(), [1, 0]);
        }
    }

    #[test]
    fn rows_without_an_outcome_are_refused() {
        for row in [[f32::NEG_INFINITY; 2], [f32::NAN; 2], [f32::INFINITY, 0.0]] {
            assert!(multinomial(&Tensor::f32(&[1, 2], row.to_vec()).unwrap(), 1, 0).is_err());
        }
        assert!(multinomial(&Tensor::f32(&[1, 0], Vec::new()).unwrap(), 1, 0).is_err());
        assert!(multinomial(&Tensor::f32(&[1, 1], vec![0.0]).unwrap(), usize::MAX, 0).is_err());
    }
}
