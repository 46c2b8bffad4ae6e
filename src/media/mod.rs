//! Pictures and sound: from files to the arrays that networks read, and back to something one can look at.
//!
//! The feature `image` brings [`Picture`] with [`resize`], [`geometry`], [`planar`] layouts, [`preset`]s and [`overlay`]s. The
//! feature `audio` brings [`Audio`] with [`resample`], [`wav`], [`spectrum`] and [`mel`]. `media` is both. The module knows
//! nothing of tensors or graphs: everything comes out as plain numbers with a documented layout.
//!
//! Files are hostile until checked. What a header claims is held against a limit before anything is allocated by it.

#[cfg(feature = "audio")]
pub mod audio;
#[cfg(feature = "image")]
pub mod geometry;
#[cfg(feature = "image")]
pub mod image;
#[cfg(feature = "audio")]
pub mod mel;
#[cfg(feature = "image")]
pub mod overlay;
#[cfg(feature = "image")]
pub mod planar;
#[cfg(feature = "image")]
pub mod preset;
#[cfg(feature = "audio")]
pub mod resample;
#[cfg(feature = "image")]
pub mod resize;
#[cfg(feature = "audio")]
pub mod spectrum;
#[cfg(feature = "audio")]
pub mod wav;

#[cfg(feature = "audio")]
pub use audio::Audio;
#[cfg(feature = "image")]
pub use image::Picture;
#[cfg(feature = "image")]
pub use preset::Preset;
