//! ONNX models: the file, and the expansion of its functions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::formats::onnx::{OnnxFile, expand_functions};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut file) = OnnxFile::from_bytes(bytes.to_vec(), None) else { return };
    for (_, tensor) in &file.model.graph.initializers {
        let _ = tensor.to_tensor();
    }
    let _ = expand_functions(&mut file.model);
});
