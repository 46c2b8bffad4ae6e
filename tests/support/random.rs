//! Random-looking data that is the same everywhere.
#![allow(unused_imports)] // Every test binary uses its own part.

pub use wavelane::measure::random::{Numbers, weight_bytes};
