//! Whole tasks: from a picture or a sound to what is in it, by models in the ONNX format and what they need before and after.
//!
//! A task opens its models once and then takes any number of inputs. What stands between the models, such as finding boxes in
//! a map of probabilities, is plain code on the host that can be used without a model.

pub mod ocr;
pub mod saliency;
pub mod vad;

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::formats::ElementType;
use crate::onnx::{Array, Session};
use crate::tensor::Tensor;

/// Runs a model with one input, which is floats, and yields its first result.
fn run_one(session: &mut Session, shape: &[usize], data: Vec<f32>) -> Result<Tensor> {
    let names: Vec<String> = session.inputs().map(|i| i.name.clone()).collect();
    let [name] = &names[..] else {
        return Err(Error::Unsupported(format!("a model with the inputs {names:?}; this task's has one")));
    };
    let input = Array { ty: ElementType::Float, tensor: Tensor::f32(shape, data)? };
    let mut results = session.run(&BTreeMap::from([(name.clone(), input)]))?.into_iter();
    results.next().map(|(_, array)| array.tensor).ok_or_else(|| Error::Unsupported("a model without results".into()))
}

/// An error about a model that is not the one that a task is for.
fn unfit(task: &str, what: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("a model for {task} that {what}"))
}
