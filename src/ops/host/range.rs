//! Numbers at equal distances.

use super::expect_at_most;
use crate::error::{Error, Result};
use crate::tensor::{Data, Tensor};

/// `start + i delta` for all i from 0 on whose number is before `limit`: `[n]` of the type of the three, which are f32 or i64
/// of one element each.
///
/// # Errors
/// [`Error::Shape`] when they are of other or different types, when `delta` is 0 or a number is not finite, or when there would
/// be more than [`super::MOST`] numbers.
pub fn range(start: &Tensor, limit: &Tensor, delta: &Tensor) -> Result<Tensor> {
    match (start.data(), limit.data(), delta.data()) {
        (Data::F32(start), Data::F32(limit), Data::F32(delta)) => {
            let [start, limit, delta] = [one(start)?, one(limit)?, one(delta)?].map(f64::from);
            let count = ((limit - start) / delta).ceil();
            if !count.is_finite() {
                return refuse(&format!("cannot go from {start} to {limit} by {delta}"));
            }
            let count = expect_at_most("Range", Some(count.max(0.0) as usize))?;
            Tensor::f32(&[count], (0..count).map(|i| (start + i as f64 * delta) as f32).collect())
        }
        (Data::I64(start), Data::I64(limit), Data::I64(delta)) => {
            let [start, limit, delta] = [one(start)?, one(limit)?, one(delta)?].map(i128::from);
            if delta == 0 {
                return refuse("'delta' is 0");
            }
            let (span, step) = ((limit - start) * delta.signum(), delta.abs());
            let steps = (span + step - 1).div_euclid(step).max(0);
            let count = expect_at_most("Range", usize::try_from(steps).ok())?;
            Tensor::i64(&[count], (0..count as i128).map(|i| (start + i * delta) as i64).collect())
        }
        _ => refuse(&format!("takes three numbers of one type, got {}, {}, {}", start.dtype(), limit.dtype(), delta.dtype())),
    }
}

/// The only element.
fn one<T: Copy>(values: &[T]) -> Result<T> {
    match values {
        [value] => Ok(*value),
        _ => refuse(&format!("an operand has {} elements, expected one", values.len())),
    }
}

fn refuse<T>(what: &str) -> Result<T> {
    Err(Error::shape("Range", what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(start: i64, limit: i64, delta: i64) -> Result<Vec<i64>> {
        let [start, limit, delta] = [start, limit, delta].map(|n| Tensor::i64(&[], vec![n]).unwrap());
        Ok(range(&start, &limit, &delta)?.as_i64()?.to_vec())
    }

    fn floats(start: f32, limit: f32, delta: f32) -> Result<Vec<f32>> {
        let [start, limit, delta] = [start, limit, delta].map(|x| Tensor::f32(&[1], vec![x]).unwrap());
        Ok(range(&start, &limit, &delta)?.to_f32())
    }

    #[test]
    fn numbers_end_before_the_limit() {
        assert_eq!(ints(3, 9, 3).unwrap(), [3, 6]);
        assert_eq!(ints(10, 4, -2).unwrap(), [10, 8, 6]);
        assert_eq!(ints(10, 4, -4).unwrap(), [10, 6]);
        assert_eq!(ints(1, 5, 3).unwrap(), [1, 4]);
        assert_eq!(ints(5, 0, 1).unwrap(), [0; 0]);
        assert_eq!(ints(0, 5, -1).unwrap(), [0; 0]);
        assert_eq!(ints(i64::MIN, i64::MAX, i64::MAX).unwrap(), [i64::MIN, -1, i64::MAX - 1]);
        // 0.1 in f32 is a little more than a tenth.
        let tenths = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.900_000_04];
        assert_eq!(floats(0.0, 1.0, 0.1).unwrap(), tenths);
        assert_eq!(floats(1.0, -0.25, -0.5).unwrap(), [1.0, 0.5, 0.0]);
    }

    #[test]
    fn endless_and_huge_ranges_are_refused() {
        assert!(ints(0, 5, 0).is_err());
        assert!(ints(i64::MIN, i64::MAX, 1).is_err());
        for (start, limit, delta) in [(0.0, 1.0, 0.0), (0.0, f32::INFINITY, 1.0), (f32::NAN, 1.0, 1.0), (0.0, 1e30, 1.0)] {
            assert!(floats(start, limit, delta).is_err(), "{start} {limit} {delta}");
        }
        let two = Tensor::i64(&[2], vec![1, 2]).unwrap();
        assert!(range(&two, &two, &two).is_err());
    }
}
