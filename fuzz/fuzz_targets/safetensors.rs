//! safetensors: the header, and the data of every tensor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::formats::SafeTensors;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = SafeTensors::from_bytes(bytes.to_vec(), "fuzz") else { return };
    for tensor in file.tensors() {
        assert_eq!(file.tensor(&tensor.name), Some(tensor));
        if let Ok(data) = file.data(tensor) {
            assert_eq!(data.len(), tensor.bytes);
        }
    }
});
