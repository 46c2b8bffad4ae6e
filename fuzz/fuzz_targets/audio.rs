//! Sound in WAV, FLAC, MP3 and Ogg Vorbis.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::media::Audio;

fuzz_target!(|bytes: &[u8]| {
    let Ok(sound) = Audio::decode_within(bytes.to_vec(), 1 << 20) else { return };
    assert!(sound.channels().iter().all(|channel| channel.len() == sound.frames()));
});
