//! Sound in WAV, FLAC, MP3 and Ogg Vorbis.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::media::Audio;

fuzz_target!(
    // The reader makes errors of the panics of its decoders; to the hook of libfuzzer-sys every panic would be a finding. One that
    // comes out of the reader ends the run without it too.
    init: std::panic::set_hook(Box::new(|_| ())),
    |bytes: &[u8]| {
        let Ok(sound) = Audio::decode_within(bytes.to_vec(), 1 << 20) else { return };
        assert!(sound.channels().iter().all(|channel| channel.len() == sound.frames()));
    }
);
