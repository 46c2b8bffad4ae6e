//! Made-up data.
#![allow(unused_imports)] // Every test binary uses its own part.

pub use wavelane::tensor::example::{Numbers, weight_bytes};
