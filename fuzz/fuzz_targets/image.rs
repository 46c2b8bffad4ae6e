//! Pictures in PNG, JPEG and WebP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::media::Picture;

fuzz_target!(
    // The reader makes errors of the panics of its decoders; to the hook of libfuzzer-sys every panic would be a finding. One that
    // comes out of the reader ends the run without it too.
    init: std::panic::set_hook(Box::new(|_| ())),
    |bytes: &[u8]| {
        let Ok(picture) = Picture::decode_within(bytes, 1 << 20) else { return };
        assert_eq!(picture.rgb().len(), picture.width() as usize * picture.height() as usize * 3);
    }
);
