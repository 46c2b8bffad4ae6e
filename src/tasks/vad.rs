//! Finding speech in sound with Silero's voice activity detectors.
//!
//! The models take chunks of 32 ms, each with the last 4 ms of the one before, and a state that they hand on; each yields the
//! probability that somebody speaks in the chunk. [`speech`] makes segments of the probabilities, as silero-vad 6.2.3 does by
//! default.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::unfit;
use crate::error::Result;
use crate::formats::ElementType;
use crate::media::Audio;
use crate::onnx::{Array, Session};
use crate::session::Device;
use crate::tensor::Tensor;

/// Samples per second that the detector hears.
pub const RATE: u32 = 16_000;
/// Samples in a chunk.
pub const CHUNK: usize = 512;
/// Samples of the chunk before that stand in front of each.
const CONTEXT: usize = 64;
/// The shape of the state: two layers' worth, one sound, 128 numbers.
const STATE: [usize; 3] = [2, 1, 128];

/// When a sound counts as speech. Lengths are samples at [`RATE`].
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The probability from which on speech begins.
    pub begin: f32,
    /// The probability below which it may have ended.
    pub end: f32,
    /// Speech must be longer than this.
    pub least_speech: usize,
    /// Silence must be at least this long to end speech.
    pub least_silence: usize,
    /// What is added on both sides; half of the silence where that is shorter than two of it.
    pub margin: usize,
}

impl Default for Rules {
    /// Probability 0.5 to begin and 0.35 to end, speech of 250 ms, silence of 100 ms, margins of 30 ms.
    fn default() -> Self {
        Rules { begin: 0.5, end: 0.35, least_speech: 4000, least_silence: 1600, margin: 480 }
    }
}

/// A voice activity detector.
pub struct Vad {
    session: Session,
    takes_rate: bool,
}

impl Vad {
    /// Opens a detector, such as `silero_vad.onnx`: inputs `input`, `state` and, for some, `sr`; results probability and state.
    ///
    /// # Errors
    /// Those of [`Session::load`]; [`crate::Error::Unsupported`] for a model with other inputs.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let session = Session::load(path, device)?;
        let mut names: Vec<&str> = session.inputs().map(|i| i.name.as_str()).collect();
        names.sort_unstable();
        let takes_rate = match names[..] {
            ["input", "sr", "state"] => true,
            ["input", "state"] => false,
            _ => return Err(unfit("voice activity", format_args!("takes {names:?}, not input, state and sr"))),
        };
        Ok(Vad { session, takes_rate })
    }

    /// The probability of speech in each chunk of the sound, which is brought to one channel at [`RATE`]. The last chunk is
    /// filled up with silence. `progress` is told after each chunk how many are done, of how many.
    ///
    /// # Errors
    /// Those of [`Audio::resample`] and [`Session::run`].
    pub fn probabilities(&mut self, sound: &Audio, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<f32>> {
        let sound = sound.to_mono().resample(RATE)?;
        let samples = sound.channels().first().map_or(&[][..], |c| c);
        let chunks = samples.len().div_ceil(CHUNK);
        let mut window = vec![0.0; CONTEXT + CHUNK];
        let mut state = Tensor::f32(&STATE, vec![0.0; STATE.iter().product()])?;
        let mut probabilities = Vec::with_capacity(chunks);
        for (i, chunk) in samples.chunks(CHUNK).enumerate() {
            // The end of the last window is what this one begins with.
            window.copy_within(CHUNK.., 0);
            let (heard, rest) = window[CONTEXT..].split_at_mut(chunk.len());
            heard.copy_from_slice(chunk);
            rest.fill(0.0);
            let (probability, next) = self.step(&window, state)?;
            state = next;
            probabilities.push(probability);
            progress(i + 1, chunks);
        }
        Ok(probabilities)
    }

    fn step(&mut self, window: &[f32], state: Tensor) -> Result<(f32, Tensor)> {
        let float = |tensor| Array { ty: ElementType::Float, tensor };
        let mut inputs = BTreeMap::from([
            ("input".to_owned(), float(Tensor::f32(&[1, window.len()], window.to_vec())?)),
            ("state".to_owned(), float(state)),
        ]);
        if self.takes_rate {
            inputs.insert("sr".into(), Array { ty: ElementType::Int64, tensor: Tensor::i64(&[], vec![RATE.into()])? });
        }
        let mut results = self.session.run(&inputs)?.into_iter().map(|(_, array)| array.tensor);
        let (Some(probability), Some(state)) = (results.next(), results.next()) else {
            return Err(unfit("voice activity", "does not yield a probability and a state"));
        };
        match (&probability.to_f32()[..], state.shape() == STATE) {
            ([p], true) => Ok((*p, state)),
            _ => Err(unfit("voice activity", format_args!("yields {:?} and {:?}", probability.shape(), state.shape()))),
        }
    }

    /// The segments with speech, in samples at [`RATE`]; see [`speech`].
    ///
    /// # Errors
    /// As [`Vad::probabilities`].
    pub fn segments(&mut self, sound: &Audio, rules: &Rules) -> Result<Vec<Range<usize>>> {
        let probabilities = self.probabilities(sound, &mut |_, _| {})?;
        Ok(speech(&probabilities, samples_at_rate(sound), rules))
    }
}

/// How many samples at [`RATE`] a sound has.
pub fn samples_at_rate(sound: &Audio) -> usize {
    // As `Audio::resample` rounds.
    let (from, to) = (u64::from(sound.rate()), u64::from(RATE));
    ((2 * sound.frames() as u64 * to + from) / (2 * from)) as usize
}

/// Segments of speech in a sound of `samples`, from the probability of each chunk.
///
/// Speech begins with the first chunk at `rules.begin` or above. It ends with the first chunk below `rules.end` after which
/// none reaches `rules.begin` for `rules.least_silence`, or with the sound. Short segments are dropped and margins added
/// afterwards.
pub fn speech(probabilities: &[f32], samples: usize, rules: &Rules) -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    let mut keep = |segment: Range<usize>| {
        if segment.len() > rules.least_speech {
            segments.push(segment);
        }
    };
    let (mut start, mut quiet_since) = (None, None);
    for (i, p) in probabilities.iter().enumerate() {
        let now = i * CHUNK;
        match start {
            None if *p >= rules.begin => start = Some(now),
            None => {}
            Some(_) if *p >= rules.begin => quiet_since = None,
            Some(begun) if *p < rules.end => {
                let quiet = *quiet_since.get_or_insert(now);
                if now - quiet >= rules.least_silence {
                    keep(begun..quiet);
                    (start, quiet_since) = (None, None);
                }
            }
            Some(_) => {}
        }
    }
    if let Some(begun) = start {
        keep(begun..samples);
    }
    add_margins(&mut segments, samples, rules.margin);
    segments
}

fn add_margins(segments: &mut [Range<usize>], samples: usize, margin: usize) {
    if let Some(first) = segments.first_mut() {
        first.start = first.start.saturating_sub(margin);
    }
    for i in 1..segments.len() {
        let silence = segments[i].start - segments[i - 1].end;
        let added = if silence < 2 * margin { silence / 2 } else { margin };
        segments[i - 1].end += added;
        segments[i].start -= added;
    }
    if let Some(last) = segments.last_mut() {
        last.end = (last.end + margin).min(samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(probabilities: &[f32], samples: usize) -> Vec<Range<usize>> {
        speech(probabilities, samples, &Rules::default())
    }

    #[test]
    fn speech_begins_and_ends_where_the_rules_say() {
        let mut p = vec![0.0; 40];
        p[10..20].fill(0.9);
        assert_eq!(found(&p, 40 * CHUNK), vec![10 * CHUNK - 480..20 * CHUNK + 480]);
        // Between the two thresholds speech goes on, and does not begin.
        p[20..30].fill(0.4);
        assert_eq!(found(&p, 40 * CHUNK), vec![10 * CHUNK - 480..30 * CHUNK + 480]);
        // Silence of three chunks is too short to end it: it takes a fourth that is quiet as well.
        p[30..].fill(0.0);
        p[33..40].fill(0.9);
        assert_eq!(found(&p, 40 * CHUNK), vec![10 * CHUNK - 480..40 * CHUNK]);
    }

    #[test]
    fn short_speech_is_dropped_and_short_silence_shared() {
        let mut p = vec![0.0; 40];
        p[10..17].fill(0.9);
        assert!(found(&p, 40 * CHUNK).is_empty());
        let segments = &mut [1000..6000, 6700..12000];
        add_margins(segments, 12100, 480);
        assert_eq!(*segments, [520..6350, 6350..12100]);
        assert!(found(&[], 0).is_empty());
    }
}
