//! GGUF: the container, the weights in it, and the model and vocabulary that its metadata describes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::dtype::DType;
use wavelane::formats::Gguf;
use wavelane::models::{LanguageModel, vocabulary::vocabulary_from_gguf};
use wavelane::quant::dequantize;
use wavelane::session::pages::CacheShape;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Gguf::from_bytes(bytes.to_vec(), "fuzz") else { return };
    for (key, value) in file.metadata() {
        assert!(file.get(key).is_some());
        let _ = value.to_string();
    }
    for tensor in file.tensors() {
        let Ok(data) = file.data(tensor) else { continue };
        let mut weights = vec![0.0; tensor.shape.iter().product()];
        let _ = dequantize(tensor.dtype.expect("data is only given of types that can be loaded"), data, &mut weights);
    }
    let _ = vocabulary_from_gguf(&file);
    let Ok(model) = LanguageModel::from_gguf(file) else { return };
    let _ = model.graph(&CacheShape { slots: 1, context: 64 }, DType::F16);
});
