//! Tensors of ONNX in files of their own; a tensor that can be written reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::formats::onnx::{read_tensor_proto, write_tensor_proto};

fuzz_target!(|bytes: &[u8]| {
    let Ok(tensor) = read_tensor_proto(bytes) else { return };
    let _ = tensor.strings();
    let Ok(values) = tensor.to_tensor() else { return };
    let Ok(written) = write_tensor_proto(tensor.ty(), &values, "fuzz") else { return };
    let again = read_tensor_proto(&written).expect("what was written can be read");
    assert_eq!((again.ty(), again.shape()), (tensor.ty(), tensor.shape()));
});
