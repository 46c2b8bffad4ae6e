//! ONNX models: runs, pictures or seconds of sound per second.

use std::collections::BTreeMap;

use web_time::Instant;

use super::{ModelFigure, Part, Progress, TestFigure};
use crate::error::Result;
use crate::gpu::profile::ProfileOptions;
use crate::onnx::{Array, Session};

/// What one run of a model takes in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// Nothing that could be counted.
    Run,
    /// So many pictures.
    Images(usize),
    /// So many seconds of sound.
    Audio(f64),
}

impl Unit {
    /// The amount of one run, and what it is called per second.
    fn amount(self) -> (f64, &'static str) {
        match self {
            Unit::Run => (1.0, "runs/s"),
            Unit::Images(n) => (n as f64, "images/s"),
            Unit::Audio(seconds) => (seconds, "s of audio/s"),
        }
    }
}

/// Measures a model with these inputs: `repeats` runs after one that traces, uploads and makes pipelines and one that warms up. Its parts
/// are its stages.
///
/// # Errors
/// Those of [`Session::run`] and [`Session::profile`].
pub fn measure(
    session: &mut Session,
    name: &str,
    inputs: &BTreeMap<String, Array>,
    unit: Unit,
    repeats: usize,
    progress: Progress<'_>,
) -> Result<ModelFigure> {
    let all = repeats + 3;
    let (amount, unit) = unit.amount();
    if let Some(gpu) = session.device().gpu() {
        gpu.forget_peak();
    }
    let mut samples = Vec::new();
    for run in 0..repeats + 2 {
        progress(run, all);
        let began = Instant::now();
        session.run(inputs)?;
        if run >= 2 {
            samples.push(amount / began.elapsed().as_secs_f64());
        }
    }
    let profiles = session.profile(inputs, ProfileOptions { runs: repeats.clamp(1, 5), method: None })?;
    progress(all, all);
    let stage = |i: usize| if profiles.len() > 1 { format!("stage {i}") } else { "one run".to_owned() };
    let parts = profiles.iter().enumerate().map(|(i, profile)| Part { name: stage(i), profile: profile.clone() }).collect();
    let shapes: Vec<String> = inputs
        .iter()
        .map(|(name, array)| {
            let dims: Vec<String> = array.tensor.shape().iter().map(usize::to_string).collect();
            format!("{name}={}", dims.join("x"))
        })
        .collect();
    let parameters =
        |(_, tensor): &(String, crate::formats::onnx::OnnxTensor)| if tensor.ty().is_float() { tensor.len() } else { 0 };
    let initializers = &session.graph().initializers;
    Ok(ModelFigure {
        model: name.to_owned(),
        weight_bytes: initializers.iter().map(|(_, tensor)| tensor.raw().len() as u64).sum(),
        parameters: Some(initializers.iter().map(parameters).sum::<usize>() as u64),
        memory: session.device().gpu().map(|gpu| gpu.memory().peak),
        tests: vec![TestFigure::new(shapes.join(" "), unit, samples)],
        parts,
    })
}
