//! Mel scales, filter banks on them, and the log-mel input of Whisper.

use super::spectrum::{Padding, Spectrogram, Stft};
use crate::error::{Error, Result};

/// Which mel scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelScale {
    /// Of the Auditory Toolbox (Slaney 1998): linear with 3 mel for 200 Hz up to 1 kHz, then 27 mel for a factor of 6.4.
    Slaney,
    /// Of the HTK: `2595 log10(1 + f / 700)`.
    Htk,
}

/// What a filter's weights are scaled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelNorm {
    /// A peak of 1.
    Peak,
    /// An area of 1 over Hz: the weights are multiplied by `2 / (upper edge - lower edge)`.
    Area,
}

/// Triangular filters, evenly spaced on a mel scale.
#[derive(Clone, Debug, PartialEq)]
pub struct MelBank {
    bins: usize,
    filters: Vec<Filter>,
}

/// The bins of one filter that are not zero.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    start: usize,
    weights: Vec<f32>,
}

/// Numbers by mel band and time, `[bands, frames]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MelSpectrogram {
    /// Mel bands.
    pub bands: usize,
    /// Points in time.
    pub frames: usize,
    /// The values, `[bands, frames]`.
    pub data: Vec<f32>,
}

impl MelScale {
    /// Hz to mel.
    pub fn mel(self, hz: f64) -> f64 {
        match self {
            MelScale::Slaney if hz < 1000.0 => hz * 3.0 / 200.0,
            MelScale::Slaney => 15.0 + (hz / 1000.0).ln() * 27.0 / 6.4f64.ln(),
            MelScale::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
        }
    }

    /// Mel to Hz.
    pub fn hz(self, mel: f64) -> f64 {
        match self {
            MelScale::Slaney if mel < 15.0 => mel * 200.0 / 3.0,
            MelScale::Slaney => 1000.0 * ((mel - 15.0) / 27.0 * 6.4f64.ln()).exp(),
            MelScale::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
        }
    }
}

impl MelBank {
    /// `bands` filters between `low` and `high` Hz, for spectra of `n_fft` samples at `rate` Hz. The edges of filter b are the
    /// points b, b + 1 and b + 2 of `bands + 2` on the mel scale; between them its weights are linear in Hz.
    ///
    /// # Errors
    /// [`Error::Request`] unless `0 <= low < high <= rate / 2`, `bands` is in 1..=65536 and `n_fft` in 2..=2^20.
    pub fn new(rate: u32, n_fft: usize, bands: usize, [low, high]: [f64; 2], scale: MelScale, norm: MelNorm) -> Result<Self> {
        let range = 0.0 <= low && low < high && high <= f64::from(rate) / 2.0;
        if !range || !(1..=1 << 16).contains(&bands) || !(2..=1 << 20).contains(&n_fft) {
            let what = format!("{bands} mel bands from {low} to {high} Hz of {n_fft} samples at {rate} Hz");
            return Err(Error::Request(what));
        }
        let bins = n_fft / 2 + 1;
        let (from, to) = (scale.mel(low), scale.mel(high));
        let edge = |b: usize| scale.hz(from + (to - from) * b as f64 / (bands + 1) as f64);
        let frequency = |bin: usize| bin as f64 * f64::from(rate) / n_fft as f64;
        let filter = |b: usize| {
            let [left, peak, right] = [edge(b), edge(b + 1), edge(b + 2)];
            let height = match norm {
                MelNorm::Peak => 1.0,
                MelNorm::Area => 2.0 / (right - left),
            };
            let weight = |bin: usize| {
                let f = frequency(bin);
                ((f - left) / (peak - left)).min((right - f) / (right - peak)) * height
            };
            let start = (0..bins).find(|&bin| weight(bin) > 0.0).unwrap_or(bins);
            Filter { start, weights: (start..bins).map(weight).take_while(|&w| w > 0.0).map(|w| w as f32).collect() }
        };
        Ok(MelBank { bins, filters: (0..bands).map(filter).collect() })
    }

    /// All weights, `[bands, bins]`.
    pub fn weights(&self) -> Vec<f32> {
        let mut all = vec![0.0; self.filters.len() * self.bins];
        for (row, filter) in all.chunks_exact_mut(self.bins).zip(&self.filters) {
            row[filter.start..][..filter.weights.len()].copy_from_slice(&filter.weights);
        }
        all
    }

    /// The bands' energies of a power spectrogram (or of magnitudes).
    ///
    /// # Errors
    /// [`Error::Shape`] if it has another number of bins, or other values than its shape says.
    pub fn apply(&self, spectrum: &Spectrogram) -> Result<MelSpectrogram> {
        if spectrum.bins != self.bins || spectrum.frames.checked_mul(self.bins) != Some(spectrum.data.len()) {
            let what = format!("[{}, {}] with {} values", spectrum.frames, spectrum.bins, spectrum.data.len());
            return Err(Error::shape("mel bank", format!("a spectrogram of {what}; {} bins are expected", self.bins)));
        }
        let mut data = Vec::with_capacity(self.filters.len() * spectrum.frames);
        for filter in &self.filters {
            data.extend(spectrum.data.chunks_exact(self.bins).map(|frame| {
                filter.weights.iter().zip(&frame[filter.start..]).map(|(weight, power)| weight * power).sum::<f32>()
            }));
        }
        Ok(MelSpectrogram { bands: self.filters.len(), frames: spectrum.frames, data })
    }
}

/// The log-mel input of Whisper: mono at 16 kHz; frames of 400 samples every 160, mirrored at the ends, the last one left out;
/// power in `bands` Slaney bands of area 1 up to 8 kHz; `log10` of at least 1e-10, raised to within 8 of its maximum; `(x + 4) /
/// 4`.
#[derive(Clone)]
pub struct WhisperMel {
    stft: Stft,
    bank: MelBank,
}

impl WhisperMel {
    /// The rate that it reads, in Hz.
    pub const RATE: u32 = 16_000;

    /// The samples of the 30 seconds that Whisper's encoder reads: 3000 frames.
    pub const WINDOW: usize = 480_000;

    /// With 80 bands, or 128 for the third large model.
    ///
    /// # Errors
    /// [`Error::Request`] for a number of bands that a [`MelBank`] refuses.
    pub fn new(bands: usize) -> Result<Self> {
        let bank = MelBank::new(Self::RATE, 400, bands, [0.0, 8000.0], MelScale::Slaney, MelNorm::Area)?;
        Ok(WhisperMel { stft: Stft::new(400, 160, Padding::Reflect)?, bank })
    }

    /// The features of a sound as long as it is: `samples / 160` frames.
    ///
    /// # Errors
    /// [`Error::Request`] for 200 samples or fewer, or for more than 2^28 values.
    pub fn features(&self, samples: &[f32]) -> Result<MelSpectrogram> {
        let mut power = self.stft.power(samples)?;
        power.frames -= 1;
        power.data.truncate(power.frames * power.bins);
        let mut mel = self.bank.apply(&power)?;
        for value in &mut mel.data {
            *value = value.max(1e-10).log10();
        }
        let floor = mel.data.iter().copied().fold(f32::NEG_INFINITY, f32::max) - 8.0;
        for value in &mut mel.data {
            *value = (value.max(floor) + 4.0) / 4.0;
        }
        Ok(mel)
    }

    /// The features of exactly 30 seconds, `[bands, 3000]`: the sound is cut off there, or silence follows it.
    ///
    /// # Errors
    /// None that the sound could cause.
    pub fn window(&self, samples: &[f32]) -> Result<MelSpectrogram> {
        let mut padded = samples[..samples.len().min(Self::WINDOW)].to_vec();
        padded.resize(Self::WINDOW, 0.0);
        self.features(&padded)
    }
}
