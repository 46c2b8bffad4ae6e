//! Pictures in PNG, JPEG and WebP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::media::Picture;

fuzz_target!(|bytes: &[u8]| {
    let Ok(picture) = Picture::decode_within(bytes, 1 << 20) else { return };
    assert_eq!(picture.rgb().len(), picture.width() as usize * picture.height() as usize * 3);
});
