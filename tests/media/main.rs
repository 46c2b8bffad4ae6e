//! The module `media` beside Pillow, OpenCV, libsndfile, numpy and transformers, whose results `scripts/make_media_vectors.py`
//! wrote down; and beside files that are cut off or scrambled.

#[cfg(feature = "audio")]
mod audio;
#[cfg(feature = "image")]
mod image;
#[cfg(feature = "image")]
mod overlay;
#[cfg(feature = "image")]
mod preset;
#[cfg(feature = "audio")]
mod resample;
#[cfg(feature = "audio")]
mod spectrum;
#[cfg(any(feature = "audio", feature = "image"))]
mod support;
