//! The short-time Fourier transform of sound.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use crate::error::{Error, Result};

/// The most numbers that a spectrogram may have: 2^28, or 1 GiB as f32.
const MAX_VALUES: usize = 1 << 28;

/// The largest size of a transform.
const MAX_FFT: usize = 1 << 20;

/// What lies before the first sample and after the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: frame t begins at sample `t * hop`, and only whole frames count.
    None,
    /// Half a frame of zeros on both sides: frame t has its centre at sample `t * hop`.
    Zeros,
    /// Half a frame of the sound mirrored at its first and last sample, which are not repeated; centred like `Zeros`.
    Reflect,
}

/// Overlapping frames under a periodic Hann window `(1 - cos(2 pi j / n_fft)) / 2`, transformed:
/// `X[t, f] = sum over j of window[j] x[t, j] exp(-2 pi i f j / n_fft)`, with f from 0 to `n_fft / 2`.
#[derive(Clone)]
pub struct Stft {
    hop: usize,
    padding: Padding,
    window: Vec<f32>,
    plan: Arc<dyn RealToComplex<f32>>,
}

/// Numbers by time and frequency, `[frames, bins]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrogram<T = f32> {
    /// Points in time.
    pub frames: usize,
    /// Frequencies: bin f is `f * rate / n_fft` Hz.
    pub bins: usize,
    /// The values, `[frames, bins]`.
    pub data: Vec<T>,
}

impl Stft {
    /// A transform of frames with `n_fft` samples, `hop` apart.
    ///
    /// # Errors
    /// [`Error::Request`] if `hop` is 0 or `n_fft` is not in 2..=2^20.
    pub fn new(n_fft: usize, hop: usize, padding: Padding) -> Result<Self> {
        if !(2..=MAX_FFT).contains(&n_fft) || hop == 0 {
            return Err(Error::Request(format!("a transform of {n_fft} samples every {hop}; 2 to {MAX_FFT} every 1 or more")));
        }
        let angle = |j: usize| std::f64::consts::TAU * j as f64 / n_fft as f64;
        let window = (0..n_fft).map(|j| (0.5 - 0.5 * angle(j).cos()) as f32).collect();
        Ok(Stft { hop, padding, window, plan: RealFftPlanner::new().plan_fft_forward(n_fft) })
    }

    /// Samples in a frame.
    pub fn n_fft(&self) -> usize {
        self.window.len()
    }

    /// Frequencies: `n_fft / 2 + 1`.
    pub fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// Frames of so many samples.
    pub fn frames(&self, samples: usize) -> usize {
        let padded = if self.padding == Padding::None { samples } else { samples + self.n_fft() / 2 * 2 };
        if padded < self.n_fft() { 0 } else { (padded - self.n_fft()) / self.hop + 1 }
    }

    /// The complex spectra.
    ///
    /// # Errors
    /// [`Error::Request`] if the sound has no frame, if it is too short to be mirrored (`n_fft / 2` samples or fewer), or if
    /// there would be more than 2^28 values.
    pub fn transform(&self, samples: &[f32]) -> Result<Spectrogram<Complex32>> {
        self.map(samples, |x| x)
    }

    /// The power `|X|^2`.
    ///
    /// # Errors
    /// As [`Stft::transform`].
    pub fn power(&self, samples: &[f32]) -> Result<Spectrogram> {
        self.map(samples, |x| x.norm_sqr())
    }

    /// The magnitude `|X|`.
    ///
    /// # Errors
    /// As [`Stft::transform`].
    pub fn magnitude(&self, samples: &[f32]) -> Result<Spectrogram> {
        self.map(samples, |x| x.norm())
    }

    fn map<T>(&self, samples: &[f32], value: impl Fn(Complex32) -> T) -> Result<Spectrogram<T>> {
        let (frames, bins) = (self.frames(samples.len()), self.bins());
        let short = self.padding == Padding::Reflect && samples.len() <= self.n_fft() / 2;
        if frames == 0 || short || frames.saturating_mul(bins) > MAX_VALUES {
            let size = format!("{} samples every {}", self.n_fft(), self.hop);
            return Err(Error::Request(format!("{} samples in frames of {size}: too few or too many", samples.len())));
        }
        let mut frame = self.plan.make_input_vec();
        let mut spectrum = self.plan.make_output_vec();
        let mut scratch = self.plan.make_scratch_vec();
        let mut data = Vec::with_capacity(frames * bins);
        for t in 0..frames {
            self.window_frame(samples, t, &mut frame);
            self.plan
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .map_err(|e| Error::Invalid { stage: "Fourier transform".into(), what: e.to_string() })?;
            data.extend(spectrum.iter().map(|&x| value(x)));
        }
        Ok(Spectrogram { frames, bins, data })
    }

    /// Frame t under the window.
    fn window_frame(&self, samples: &[f32], t: usize, frame: &mut [f32]) {
        let before = if self.padding == Padding::None { 0 } else { self.n_fft() / 2 };
        for (j, (value, window)) in frame.iter_mut().zip(&self.window).enumerate() {
            let at = t * self.hop + j;
            let index = match self.padding {
                Padding::Reflect => Some(mirror(at, before, samples.len())),
                Padding::Zeros | Padding::None => at.checked_sub(before),
            };
            *value = index.and_then(|i| samples.get(i)).copied().unwrap_or(0.0) * window;
        }
    }
}

/// The sample at `at - before` of a sound that is mirrored at both ends; for overhangs shorter than the sound.
fn mirror(at: usize, before: usize, samples: usize) -> usize {
    let index = at.abs_diff(before);
    if index < samples { index } else { 2 * (samples - 1) - index }
}
