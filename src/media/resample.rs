//! Changing the rate of [`Audio`] by windowed-sinc interpolation.

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use super::audio::{Audio, MAX_RATE, MAX_SAMPLES};
use crate::error::{Error, Result};

/// The least length of the sinc, in samples of the lower rate. The pass band then ends at 0.985 of its Nyquist frequency.
const SINC_LENGTH: u32 = 1024;

/// How much the rates may differ, by factor.
const MAX_RATIO: u64 = 256;

impl Audio {
    /// The audio at `rate` Hz. Sample j of the result lies at time `j / rate` exactly: no delay, no fraction of a sample. There
    /// are `frames * rate / self.rate()` samples, rounded, halves up. Before and after the audio there is silence.
    ///
    /// # Errors
    /// [`Error::Request`] if `rate` is 0 or above [`MAX_RATE`], if it differs from the present one by a factor of more than 256,
    /// or if the result has more than [`MAX_SAMPLES`].
    pub fn resample(&self, rate: u32) -> Result<Audio> {
        let (from, to) = (u64::from(self.rate()), u64::from(rate));
        if rate == 0 || rate > MAX_RATE || from > to * MAX_RATIO || to > from * MAX_RATIO {
            return Err(Error::Request(format!("resampling from {from} to {to} Hz")));
        }
        if from == to {
            return Ok(self.clone());
        }
        let frames = (2 * self.frames() as u64 * to + from) / (2 * from);
        if frames.saturating_mul(self.channels().len() as u64) > MAX_SAMPLES as u64 {
            return Err(Error::Request(format!("{} frames at {from} Hz become {frames} at {to} Hz", self.frames())));
        }
        let channels = self.channels().iter().map(|c| resample(c, self.rate(), rate, frames as usize));
        Audio::new(rate, channels.collect::<Result<_>>()?)
    }
}

fn resample(samples: &[f32], from: u32, to: u32, frames: usize) -> Result<Vec<f32>> {
    let fail = |what: String| Error::Invalid { stage: format!("resampling from {from} to {to} Hz"), what };
    // The library convolves and changes the rate in the frequency domain, in blocks of a multiple of `step`. An even multiple
    // makes its delay, half a block, a whole number of samples at both rates.
    let divisor = greatest_common_divisor(from, to);
    let step = from / divisor;
    let multiple = 2 * (SINC_LENGTH / 2).div_ceil(from.min(to) / divisor);
    let (block, window) = ((step * multiple) as usize, WindowFunction::BlackmanHarris2);
    let mut resampler = Fft::<f32>::new_custom(from as usize, to as usize, block, 1, 1, window, FixedSync::Both)
        .map_err(|e| fail(e.to_string()))?;

    let input = [samples.to_vec()];
    let view = SequentialSliceOfVecs::new(&input, 1, samples.len()).map_err(|e| fail(e.to_string()))?;
    let mut output = resampler.process_all(&view, samples.len(), None).map_err(|e| fail(e.to_string()))?.take_data();
    if output.len() < frames {
        return Err(fail(format!("{} frames instead of {frames}", output.len())));
    }
    output.truncate(frames);
    Ok(output)
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
