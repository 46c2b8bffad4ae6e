//! Random numbers that depend on a seed and on the place of the element, and on nothing else.

use super::indexing::product;
use super::{Input, Lowering, Rule, Tolerance, operands};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::expr::{Function, Operator, Scalar};
use crate::kernel::{Dispatch, Expr, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::shape::{Shape, TensorType};
use crate::tensor::Tensor;

/// How random numbers are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// All numbers of `low .. high` alike.
    Uniform {
        /// The least number.
        low: f32,
        /// No number reaches it, but for rounding.
        high: f32,
    },
    /// Around `mean` with the standard deviation `scale`.
    Normal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        scale: f32,
    },
}

/// Random f32 numbers, the same in every run and on every device. No inputs. Output: f32 of `shape`.
///
/// Element i is made of the bits of [`hash`]`(seed, i)`. Uniform numbers are `low + (high - low) u`, with the [`unit()`] u of
/// 24 bits; normal ones are `mean + scale sqrt(-2 ln v) cos(2 pi u)` (Box and Muller 1958, doi:10.1214/aoms/1177706645), with
/// the units of elements 2i and 2i + 1, v in (0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Random {
    /// How they are distributed.
    pub distribution: Distribution,
    /// Another seed gives other numbers.
    pub seed: u32,
    /// The output's dimensions.
    pub shape: Vec<usize>,
}

/// One round of a hash of 32 bits: a step of a linear congruential generator, and then the output permutation RXS-M-XS of the
/// PCG family (O'Neill 2014, HMC-CS-2014-0905; as a hash: Jarzynski and Olano 2020, Journal of Computer Graphics Techniques
/// 9(3)).
///
/// The constants are this crate's: the first 32 bits of the fractions of the square roots of 5, 2 and 3, of which the last two
/// are odd; the last three bits of the first are made 101, so that the generator has its full period.
fn scramble(x: u32) -> u32 {
    let state = x.wrapping_mul(0x3c6e_f375).wrapping_add(0x6a09_e667);
    let word = (state >> ((state >> 28) + 4) ^ state).wrapping_mul(0xbb67_ae85);
    word >> 22 ^ word
}

/// 32 bits for number `index` of the numbers of `seed`.
pub fn hash(seed: u32, index: u32) -> u32 {
    scramble(scramble(index).wrapping_add(scramble(!seed)))
}

/// A number of [0, 1), a multiple of 2^-24, by [`hash`]. From 2^32 numbers on they repeat.
pub fn unit(seed: u32, index: usize) -> f32 {
    (hash(seed, index as u32) >> 8) as f32 * (1.0 / 16_777_216.0)
}

impl Random {
    /// A number as an expression of the units that it is made of.
    fn expr(&self) -> Expr {
        let (start, spread, of) = match self.distribution {
            Distribution::Uniform { low, high } => (low, high - low, Expr::operand(0)),
            Distribution::Normal { mean, scale } => {
                let square = Expr::product(Expr::float(-2.0), Expr::call(Function::Log, Expr::operand(0)));
                let radius = Expr::call(Function::Sqrt, Expr::binary(Operator::Max, square, Expr::float(0.0)));
                let angle = Expr::product(Expr::float(std::f32::consts::TAU), Expr::operand(1));
                (mean, scale, Expr::product(radius, Expr::call(Function::Cos, angle)))
            }
        };
        Expr::sum(Expr::float(start), Expr::product(Expr::float(spread), of))
    }

    /// Operand `o` of [`Random::expr`] for element `i`.
    fn operand(&self, o: u32, i: usize) -> Scalar {
        Scalar::Float(match (self.distribution, o) {
            (Distribution::Uniform { .. }, _) => unit(self.seed, i),
            // The logarithm needs a number that is not 0.
            (_, 0) => 1.0 - unit(self.seed, 2 * i),
            _ => unit(self.seed, 2 * i + 1),
        })
    }
}

impl Rule for Random {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>> {
        let [] = operands("Random", inputs.to_vec())?;
        let count = self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if count.is_none_or(|n| n > u32::MAX as usize) {
            return Err(Error::shape("Random", format!("the shape {:?} has more elements than there are numbers", self.shape)));
        }
        Ok(vec![TensorType::new(DType::F32, Shape::from(&self.shape[..]))])
    }

    fn reference(&self, _: Vec<Input>) -> Result<Vec<Tensor>> {
        let expr = self.expr();
        let values = (0..product(&self.shape)).map(|i| expr.eval_f32(&|o| self.operand(o, i).float())).collect();
        Ok(vec![Tensor::f32(&self.shape, values)?])
    }

    /// What [`Expr::bound`] makes of the units, which are exact.
    fn tolerance(&self, _: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>> {
        let expr = self.expr();
        let bound = |i: usize| expr.bound(&|o| self.operand(o, i), &|_| 0.0).1;
        Ok(vec![Tolerance::Absolute((0..outputs[0].len()).map(bound).collect())])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let out = &cx.outputs[0];
        let (normal, start, spread) = match self.distribution {
            Distribution::Uniform { low, high } => (0, low, high - low),
            Distribution::Normal { mean, scale } => (1, mean, scale),
        };
        let params = vec![out.len() as u32, self.seed, start.to_bits(), spread.to_bits()];
        let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
        cx.emit(Dispatch::new(Kernel::new("random").constant("NORMAL", normal), params, grid).write(out.value));
        Ok(())
    }

    fn flops(&self, _: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64 {
        40 * product(&outputs[0]) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(distribution: Distribution, seed: u32) -> Vec<f64> {
        let op = Random { distribution, seed, shape: vec![100_000] };
        op.reference(Vec::new()).unwrap()[0].to_f32().into_iter().map(f64::from).collect()
    }

    /// Mean and variance.
    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64)
    }

    #[test]
    fn numbers_are_distributed_as_they_should() {
        for seed in [0, 1, 2, 77, u32::MAX] {
            let uniform = numbers(Distribution::Uniform { low: -1.0, high: 3.0 }, seed);
            let (mean, variance) = moments(&uniform);
            // Standard errors: 0.0037 and 0.0038.
            assert!((mean - 1.0).abs() < 0.015 && (variance - 4.0 / 3.0).abs() < 0.016, "{seed}: {mean}, {variance}");
            assert!(uniform.iter().all(|x| (-1.0..3.0).contains(x)));
            let normal = numbers(Distribution::Normal { mean: 2.0, scale: 0.5 }, seed);
            let (mean, variance) = moments(&normal);
            // Standard errors: 0.0016 and 0.0011.
            assert!((mean - 2.0).abs() < 0.0065 && (variance - 0.25).abs() < 0.0045, "{seed}: {mean}, {variance}");
            let within = normal.iter().filter(|x| (*x - 2.0).abs() < 0.5).count();
            assert!(within.abs_diff(68_269) < 600, "{seed}: {within} within one standard deviation");
        }
    }

    #[test]
    fn neighbours_have_nothing_to_do_with_each_other() {
        for (seed, other, step) in [(5, 5, 1), (5, 5, 2), (5, 5, 64), (5, 6, 0), (0, 1, 0), (0, u32::MAX, 0), (0, 1, 1)] {
            let products = (0..100_000).map(|i| f64::from(unit(seed, i) - 0.5) * f64::from(unit(other, i + step) - 0.5));
            let correlation = products.sum::<f64>() / 100_000.0 * 12.0;
            // The standard error is 0.0032.
            assert!(correlation.abs() < 0.013, "seeds {seed} and {other}, {step} apart: {correlation}");
        }
    }

    #[test]
    fn every_bit_of_index_and_seed_turns_half_the_bits() {
        for bit in 0..32 {
            let turned = |f: &dyn Fn(u32) -> u32| (0..4000).map(|i| f(i).count_ones()).sum::<u32>();
            let by_index = turned(&|i| hash(9, i) ^ hash(9, i ^ 1 << bit));
            let by_seed = turned(&|i| hash(i, 9) ^ hash(i ^ 1 << bit, 9));
            // 64000 expected; the standard error is 179.
            assert!(by_index.abs_diff(64_000) < 3000 && by_seed.abs_diff(64_000) < 3000, "{bit}: {by_index}, {by_seed}");
        }
    }

    #[test]
    fn the_hash_stays_as_it_is() {
        assert_eq!([hash(0, 0), hash(0, 1), hash(1, 0)], [944_911_332, 3_401_274_667, 3_544_202_287]);
    }
}
