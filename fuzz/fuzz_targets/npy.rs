//! NumPy arrays; an array that can be written reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::formats::npy::{read_npy, write_npy};

fuzz_target!(|bytes: &[u8]| {
    let Ok((ty, array)) = read_npy(bytes) else { return };
    let Ok(written) = write_npy(ty, &array) else { return };
    let (again, copy) = read_npy(&written).expect("what was written can be read");
    assert_eq!((again, copy.shape()), (ty, array.shape()));
});
