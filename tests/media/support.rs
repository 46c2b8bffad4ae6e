//! Files, expected values, and ways to break a file.

use std::path::PathBuf;

use serde_json::Value;

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/media").join(name)
}

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

pub fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub fn floats(value: &Value) -> Vec<f64> {
    list(value).iter().map(|v| v.as_f64().unwrap()).collect()
}

pub fn integer(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

pub fn integers(value: &Value) -> Vec<usize> {
    list(value).iter().map(integer).collect()
}

/// The largest difference from the values that `sampled` of the script took from a large array.
pub fn worst(sample: &Value, found: impl Fn(usize) -> f64) -> f64 {
    let size: usize = integers(&sample["shape"]).iter().product();
    worst_of(&floats(&sample["values"]), size, found)
}

/// As [`worst`], for values that share their shape with others.
pub fn worst_of(values: &[f64], size: usize, found: impl Fn(usize) -> f64) -> f64 {
    values.iter().enumerate().map(|(i, v)| (found((i * 7919 + 13) % size) - v).abs()).fold(0.0, f64::max)
}

/// The file without its end, at every twentieth of its length, and with every byte in turn (or at least 500 of them) flipped.
pub fn broken(whole: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let cut = (0..20).map(|i| whole[..whole.len() * i / 20].to_vec()).collect();
    let flip = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0xff;
        bytes
    };
    let scrambled = (0..whole.len()).step_by((whole.len() / 500).max(1)).map(flip).collect();
    (cut, scrambled)
}
