//! [`Audio`]: samples in memory, read from WAV, FLAC, MP3 and Ogg Vorbis.

use std::fs::File;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_FLAC, FORMAT_ID_WAVE};
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use crate::error::{Error, Result};

/// The most samples, over all channels, that audio may have: 2^28, or 1 GiB; 93 minutes of stereo at 48 kHz.
/// [`Audio::decode_within`] takes a lower limit.
pub const MAX_SAMPLES: usize = 1 << 28;

/// The highest rate of samples, in Hz.
pub const MAX_RATE: u32 = 768_000;

/// Samples of one or more channels of the same length, full scale being -1 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    rate: u32,
    channels: Vec<Vec<f32>>,
}

impl Audio {
    /// Audio from its samples, `channels` being `[channel][time]`, at `rate` Hz.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no channel, if they differ in length, if there are more than [`MAX_SAMPLES`], or if `rate` is
    /// 0 or above [`MAX_RATE`].
    pub fn new(rate: u32, channels: Vec<Vec<f32>>) -> Result<Self> {
        let frames = channels.first().map_or(0, Vec::len);
        let wrong = if channels.is_empty() {
            "it has no channels".to_owned()
        } else if rate == 0 || rate > MAX_RATE {
            format!("a rate of {rate} Hz; 1 to {MAX_RATE} are allowed")
        } else if channels.iter().any(|c| c.len() != frames) {
            format!("channels of {:?} samples; all must have the same", channels.iter().map(Vec::len).collect::<Vec<_>>())
        } else if frames.saturating_mul(channels.len()) > MAX_SAMPLES {
            format!("{} channels of {frames} samples; {MAX_SAMPLES} in all are allowed", channels.len())
        } else {
            return Ok(Audio { rate, channels });
        };
        Err(Error::shape("audio", wrong))
    }

    /// Samples per second in each channel.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Samples in each channel.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The samples, `[channel][time]`.
    pub fn channels(&self) -> &[Vec<f32>] {
        &self.channels
    }

    /// The samples, `[channel][time]`, by value.
    pub fn into_channels(self) -> Vec<Vec<f32>> {
        self.channels
    }

    /// One channel: the mean of all.
    pub fn to_mono(&self) -> Audio {
        let scale = 1.0 / self.channels.len() as f32;
        let mean = |t: usize| self.channels.iter().map(|c| c[t]).sum::<f32>() * scale;
        Audio { rate: self.rate, channels: vec![(0..self.frames()).map(mean).collect()] }
    }

    /// Reads the first audio track of a file; see [`Audio::decode`].
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`Audio::decode`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        read(Box::new(file), MAX_SAMPLES)
    }

    /// Decodes WAV (PCM and float), FLAC, MP3 or Ogg Vorbis, whichever the bytes announce, up to [`MAX_SAMPLES`].
    ///
    /// Silence that an encoder put around the sound is cut off where the file says how much it is.
    ///
    /// # Errors
    /// [`Error::Format`] for files that are malformed; [`Error::Unsupported`] for other codecs and for files above the limit. A
    /// file that ends too early is an error if its header tells the length, as in WAV and FLAC. MP3 and Ogg Vorbis are streams
    /// that may end anywhere; there, what is complete is decoded.
    pub fn decode(bytes: Vec<u8>) -> Result<Self> {
        Audio::decode_within(bytes, MAX_SAMPLES)
    }

    /// [`Audio::decode`] with a limit on the samples of all channels, at most [`MAX_SAMPLES`].
    ///
    /// # Errors
    /// As [`Audio::decode`].
    pub fn decode_within(bytes: Vec<u8>, max_samples: usize) -> Result<Self> {
        read(Box::new(Cursor::new(bytes)), max_samples.min(MAX_SAMPLES))
    }
}

/// Decodes a file. A panic of the decoders is an error of the file: symphonia 0.6.1, built with overflow checks, panics at a WAV
/// header with very many channels.
fn read(source: Box<dyn MediaSource>, max_samples: usize) -> Result<Audio> {
    catch_unwind(AssertUnwindSafe(|| decode(source, max_samples)))
        .unwrap_or_else(|_| Err(Error::format("audio file", "the decoder failed on it")))
}

fn decode(source: Box<dyn MediaSource>, max_samples: usize) -> Result<Audio> {
    let stream = MediaSourceStream::new(source, Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| decoding_error("header", 0, e))?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| Error::format("audio file", "it has no audio track"))?;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|p| p.audio())
        .ok_or_else(|| Error::format("audio file", "the track does not say its codec"))?;
    let (id, claimed) = (track.id, track.num_frames);
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|e| decoding_error("codec", 0, e))?;

    let mut sound = Sound { rate: 0, channels: Vec::new(), max_samples };
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == id => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            // The end of a file amidst a packet, by the demuxers that do not look for it themselves.
            Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(decoding_error("packet", sound.frames(), e)),
        };
        let decoded = decoder.decode(&packet).map_err(|e| decoding_error("packet", sound.frames(), e))?;
        sound.append(&decoded)?;
    }
    sound.finish(claimed.filter(|_| knows_its_length(format.as_ref())))
}

/// Whether the number of frames comes from a header, and is not estimated from the size of the file or read off its last page.
fn knows_its_length(format: &dyn FormatReader) -> bool {
    [FORMAT_ID_WAVE, FORMAT_ID_FLAC].contains(&format.format_info().format)
}

/// What has been decoded so far.
struct Sound {
    rate: u32,
    channels: Vec<Vec<f32>>,
    max_samples: usize,
}

impl Sound {
    fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    fn append(&mut self, decoded: &GenericAudioBufferRef<'_>) -> Result<()> {
        let (rate, channels) = (decoded.spec().rate(), decoded.num_planes());
        if self.channels.is_empty() {
            (self.rate, self.channels) = (rate, vec![Vec::new(); channels]);
        }
        if (rate, channels) != (self.rate, self.channels.len()) {
            let (from, to) = ((self.rate, self.channels.len()), (rate, channels));
            let what = format!("changes from {from:?} to {to:?} (Hz, channels) after {} frames", self.frames());
            return Err(Error::Unsupported(format!("audio file that {what}")));
        }
        if (self.frames() + decoded.frames()).saturating_mul(channels) > self.max_samples {
            return Err(Error::Unsupported(format!("audio file of more than {} samples", self.max_samples)));
        }
        let mut planes: Vec<Vec<f32>> = Vec::new();
        decoded.copy_to_vecs_planar(&mut planes);
        for (channel, plane) in self.channels.iter_mut().zip(&planes) {
            channel.extend_from_slice(plane);
        }
        Ok(())
    }

    fn finish(self, claimed: Option<u64>) -> Result<Audio> {
        let frames = self.frames();
        if let Some(claimed) = claimed.filter(|&claimed| claimed > frames as u64) {
            return Err(Error::format("audio file", format!("it ends after {frames} of {claimed} frames")));
        }
        if self.channels.is_empty() {
            return Err(Error::format("audio file", "it holds no sound"));
        }
        Audio::new(self.rate, self.channels).map_err(|e| Error::format("audio file", e.to_string()))
    }
}

fn decoding_error(part: &str, frames: usize, error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::Unsupported(_) | SymphoniaError::LimitError(_) => {
            Error::Unsupported(format!("audio file's {part}: {error}"))
        }
        _ => Error::format(format!("audio file's {part} after {frames} frames"), error.to_string()),
    }
}
