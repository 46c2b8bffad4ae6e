//! Writing [`Audio`] as WAV (RIFF/WAVE, little-endian).

use std::path::Path;

use super::audio::Audio;
use crate::error::{Error, Result};

/// How a WAV file stores a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleFormat {
    /// 16-bit integers: `x * 32768` rounded; full scale clips at -32768 and 32767.
    Int16,
    /// 32-bit floats, as they are.
    Float32,
}

impl SampleFormat {
    fn bytes(self) -> u16 {
        match self {
            SampleFormat::Int16 => 2,
            SampleFormat::Float32 => 4,
        }
    }

    /// The format tag of the `fmt ` chunk.
    fn tag(self) -> u16 {
        match self {
            SampleFormat::Int16 => 1,
            SampleFormat::Float32 => 3,
        }
    }
}

impl Audio {
    /// The bytes of a WAV file.
    ///
    /// # Errors
    /// [`Error::Request`] if a frame or the file passes what the header can say: 65535 bytes a frame, 4 GiB a file.
    pub fn to_wav(&self, format: SampleFormat) -> Result<Vec<u8>> {
        let too_large = || {
            let (channels, frames) = (self.channels().len(), self.frames());
            Error::Request(format!("{channels} channels of {frames} samples do not fit into a WAV file"))
        };
        let channels = u16::try_from(self.channels().len()).map_err(|_| too_large())?;
        let frame = channels.checked_mul(format.bytes()).ok_or_else(too_large)?;
        let frames = u32::try_from(self.frames()).map_err(|_| too_large())?;
        let data = frames.checked_mul(u32::from(frame)).ok_or_else(too_large)?;
        let bytes_per_second = self.rate().checked_mul(u32::from(frame)).ok_or_else(too_large)?;

        let mut head = Vec::new();
        head.extend(format.tag().to_le_bytes());
        head.extend(channels.to_le_bytes());
        head.extend(self.rate().to_le_bytes());
        head.extend(bytes_per_second.to_le_bytes());
        head.extend(frame.to_le_bytes());
        head.extend((format.bytes() * 8).to_le_bytes());

        let mut chunks = Vec::new();
        match format {
            SampleFormat::Int16 => chunk(&mut chunks, b"fmt ", &head),
            SampleFormat::Float32 => {
                // Everything but PCM says how long its extension is, and how many frames there are.
                head.extend(0u16.to_le_bytes());
                chunk(&mut chunks, b"fmt ", &head);
                chunk(&mut chunks, b"fact", &frames.to_le_bytes());
            }
        }
        let riff = data.checked_add(4 + chunks.len() as u32 + 8).ok_or_else(too_large)?;

        let mut file = Vec::with_capacity(riff as usize + 8);
        file.extend(b"RIFF");
        file.extend(riff.to_le_bytes());
        file.extend(b"WAVE");
        file.extend(chunks);
        file.extend(b"data");
        file.extend(data.to_le_bytes());
        for t in 0..self.frames() {
            for channel in self.channels() {
                match format {
                    SampleFormat::Int16 => file.extend(((channel[t] * 32768.0).round() as i16).to_le_bytes()),
                    SampleFormat::Float32 => file.extend(channel[t].to_le_bytes()),
                }
            }
        }
        Ok(file)
    }

    /// Writes a WAV file.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`Audio::to_wav`].
    pub fn save_wav(&self, path: &Path, format: SampleFormat) -> Result<()> {
        std::fs::write(path, self.to_wav(format)?).map_err(|e| Error::io(path, e))
    }
}

/// Appends a chunk of a few bytes, an even number of them.
fn chunk(to: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    to.extend(name);
    to.extend((content.len() as u32).to_le_bytes());
    to.extend(content);
}
