//! What the first output of a case says in words.

use std::collections::BTreeMap;

use wavelane::onnx::{Array, Session};

use super::cache::cache_folder;
use super::compare::arg_max;
use super::index::Case;

/// What reads differently from the case's texts and labels.
pub fn compare(case: &Case, session: &Session, results: &BTreeMap<String, Array>) -> Option<String> {
    let (expected, found) = match (&case.texts[..], &case.labels[..]) {
        ([], []) => return None,
        ([], labels) => (labels, labels_of(case, results)),
        (texts, _) => (texts, texts_of(case, session, results)),
    };
    (found != expected).then(|| format!("it reads {found:?}, not {expected:?}"))
}

/// The place of the largest value of each row of the first output.
fn best(case: &Case, results: &BTreeMap<String, Array>) -> Vec<usize> {
    let Some(array) = results.get(&case.outputs[0].name) else { return Vec::new() };
    let columns = array.tensor.shape().last().copied().unwrap_or(1);
    array.tensor.to_f32().chunks_exact(columns).map(arg_max).collect()
}

fn labels_of(case: &Case, results: &BTreeMap<String, Array>) -> Vec<String> {
    let names: Vec<String> = if case.model.starts_with("magika/") {
        let config = std::fs::read(cache_folder().join("magika/config.min.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        serde_json::from_value(config["target_labels_space"].clone()).unwrap()
    } else {
        vec!["0".into(), "180".into()]
    };
    best(case, results).into_iter().map(|class| names[class].clone()).collect()
}

/// The classes of each line's steps, doubles and blanks left out. Class 0 is the blank, the last one the space, and the model
/// itself lists the characters between them.
fn texts_of(case: &Case, session: &Session, results: &BTreeMap<String, Array>) -> Vec<String> {
    let listed = session.model().metadata["character"].split('\n');
    let letters: Vec<&str> = std::iter::once("").chain(listed).chain([" "]).collect();
    let mut lines = best(case, results);
    let steps = case.outputs[0].shape[1];
    let line = |classes: &mut [usize]| {
        let mut classes = classes.to_vec();
        classes.dedup();
        classes.into_iter().map(|class| letters[class]).collect()
    };
    lines.chunks_exact_mut(steps).map(line).collect()
}
