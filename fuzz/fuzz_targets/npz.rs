//! Archives of NumPy arrays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::formats::npy::read_npz;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_npz(bytes, 1 << 24);
});
