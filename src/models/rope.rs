//! Frequencies of the rotary embedding, under the known ways to stretch them over longer contexts.

use crate::error::{Error, Result};
use crate::formats::Gguf;

/// How a model's rotary frequencies are scaled.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    None,
    /// Positions divided by a factor (position interpolation: Chen et al. 2023, arXiv:2306.15595).
    Linear(f64),
    /// Llama 3's: long wavelengths divided by `factor`, short ones kept, a ramp between.
    Llama3 {
        /// Divides the frequencies of long wavelengths.
        factor: f64,
        /// Wavelengths above `original / low` are long.
        low: f64,
        /// Wavelengths below `original / high` are short.
        high: f64,
        /// The context that the model was trained on first.
        original: f64,
    },
}

impl RopeScaling {
    /// What the keys `<arch>.rope.scaling.*` of a file say.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another kind of scaling, [`Error::Format`] for a factor that is not positive.
    pub fn from_gguf(file: &Gguf, arch: &str) -> Result<Self> {
        let number = |key: &str| {
            let key = format!("{arch}.rope.scaling.{key}");
            let value: f32 = file.require(&key)?;
            if value > 0.0 && value.is_finite() {
                Ok(f64::from(value))
            } else {
                Err(Error::format(key, format!("{value} is not positive")))
            }
        };
        let kind: Option<&str> = file.optional(&format!("{arch}.rope.scaling.type"))?;
        match kind {
            None | Some("none") => Ok(RopeScaling::None),
            Some("linear") => Ok(RopeScaling::Linear(number("factor")?)),
            Some("llama3") => {
                let original: u32 = file.require(&format!("{arch}.rope.scaling.original_context_length"))?;
                let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
                if high <= low {
                    return Err(Error::format(
                        format!("{arch}.rope.scaling.high_freq_factor"),
                        format!("{high} is not above {low}"),
                    ));
                }
                Ok(RopeScaling::Llama3 { factor: number("factor")?, low, high, original: f64::from(original) })
            }
            Some(other) => Err(Error::Unsupported(format!("rotary scaling '{other}'"))),
        }
    }

    /// The angle per position of each of `dim / 2` pairs for the base `base`: `base^(-2i / dim)`, scaled.
    pub fn frequencies(&self, base: f64, dim: usize) -> Vec<f64> {
        (0..dim / 2).map(|i| self.scale(base.powf(-2.0 * i as f64 / dim as f64))).collect()
    }

    fn scale(&self, frequency: f64) -> f64 {
        match *self {
            RopeScaling::None => frequency,
            RopeScaling::Linear(factor) => frequency / factor,
            RopeScaling::Llama3 { factor, low, high, original } => {
                let turns = original * frequency / std::f64::consts::TAU;
                let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - keep) * frequency / factor + keep * frequency
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_keeps_short_wavelengths_and_stretches_long_ones() {
        // Llama 3.1: base 500000, 64 pairs, factor 8, low 1, high 4, original 8192.
        let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let (plain, scaled) = (RopeScaling::None.frequencies(5e5, 128), scaling.frequencies(5e5, 128));
        // Pair 0 turns 1303 times in 8192 positions, pair 63 turns 0.003 times.
        assert_eq!(scaled[0], plain[0]);
        assert_eq!(scaled[63], plain[63] / 8.0);
        // Pair 32 turns 8192 / (2 pi sqrt(5e5)) = 1.843855 times: 0.281285 of the way from 1 to 4.
        let expected = plain[32] * (0.281285 + (1.0 - 0.281285) / 8.0);
        approx::assert_relative_eq!(scaled[32], expected, max_relative = 1e-5);
    }

    #[test]
    fn linear_scaling_divides() {
        assert_eq!(RopeScaling::Linear(4.0).frequencies(1e4, 4), [0.25, 0.25 / 100.0]);
    }
}
