//! What the tests of real models share.
#![allow(dead_code)] // Every test file uses its own part.

use std::path::PathBuf;

/// The default model: `WAVELANE_MODEL`, else the file that `scripts/fetch.sh smollm2` puts into the cache folder.
///
/// `None`, after saying so, if it is absent and `WAVELANE_SKIP_MODELS=1` allows that; otherwise absence fails the test.
pub fn model_path() -> Option<PathBuf> {
    let path =
        std::env::var_os("WAVELANE_MODEL").map_or_else(|| cache_folder().join("SmolLM2-135M-Instruct.Q4_1.gguf"), PathBuf::from);
    present(path, "scripts/fetch.sh smollm2")
}

/// The folder of llama.cpp's vocabularies and their expected ids, under the same conditions as [`model_path`].
pub fn vocabularies_path() -> Option<PathBuf> {
    present(cache_folder().join("ggml-vocab"), "scripts/fetch_tokenizer_goldens.sh")
}

/// The file at `path` in the cache folder, which `scripts/fetch.sh NAME` puts there. `None`, after saying so, if it is absent; that
/// fails the test where `WAVELANE_REQUIRE_MODELS` is set.
pub fn optional_model(path: &str, name: &str) -> Option<PathBuf> {
    let path = cache_folder().join(path);
    if path.exists() {
        return Some(path);
    }
    let absent = format!("{} is absent; scripts/fetch.sh {name} fetches it", path.display());
    assert!(std::env::var_os("WAVELANE_REQUIRE_MODELS").is_none(), "{absent}");
    eprintln!("skipped: {absent}");
    None
}

/// The picture enlarger, under the same conditions as [`optional_model`].
pub fn upscaler_path() -> Option<PathBuf> {
    optional_model("realesrgan/REALESRGAN_ANIMAVIDEOV3_UP4X.safetensors", "realesrgan")
}

/// Where the scripts put what they fetch: `WAVELANE_CACHE`, else `wavelane` in the user's cache folder.
pub fn cache_folder() -> PathBuf {
    let folder = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    folder("WAVELANE_CACHE")
        .or_else(|| user().map(|cache| cache.join("wavelane")))
        .expect("neither WAVELANE_CACHE nor HOME is set")
}

fn present(path: PathBuf, script: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let absent = format!("{} is absent; {script} fetches it", path.display());
    assert!(std::env::var_os("WAVELANE_SKIP_MODELS").is_some_and(|skip| skip == "1"), "{absent}");
    eprintln!("skipped: {absent}");
    None
}
