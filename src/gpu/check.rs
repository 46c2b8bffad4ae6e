//! Runs a plan step by step beside the CPU reference and stops at the first step that differs.

use std::fmt;
use std::sync::Arc;

use super::executable::place;
use super::runner::{Given, Runner, placed};
use crate::error::{Error, Result};
use crate::graph::{Origin, interpreter};
use crate::ops::pack_bytes::unpack;
use crate::ops::{Input, Tolerance};
use crate::plan::Request;
use crate::tensor::{Data, Tensor};

/// What a comparison found.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// The element's index in row-major order; the byte's where elements are words of four.
    pub index: usize,
    /// What the device computed.
    pub found: f64,
    /// What the reference computed.
    pub expected: f64,
    /// How far apart they may be.
    pub allowed: f64,
}

impl Worst {
    /// The difference in units of what is allowed; above 1 the check fails.
    pub fn ratio(&self) -> f64 {
        let error = (self.found - self.expected).abs();
        match () {
            _ if self.found == self.expected => 0.0,
            _ if self.found.is_nan() && self.expected.is_nan() => 0.0,
            _ if error.is_nan() || self.allowed.is_nan() || self.allowed == 0.0 => f64::INFINITY,
            _ if self.allowed.is_infinite() => 0.0,
            _ => error / self.allowed,
        }
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Worst { index, found, expected, allowed } = self;
        write!(f, "element {index} is {found}, the reference {expected}, {:.2} of the allowed {allowed:.3e}", self.ratio())
    }
}

/// The element of `found` that is worst against `expected`, in units of the tolerance.
///
/// # Errors
/// [`Error::Shape`] when the two differ in shape or element type.
pub fn worst(found: &Tensor, expected: &Tensor, tolerance: &Tolerance) -> Result<Worst> {
    if found.shape() != expected.shape() || found.dtype() != expected.dtype() {
        let what = format!("{}{:?} against {}{:?}", found.dtype(), found.shape(), expected.dtype(), expected.shape());
        return Err(Error::shape("check", what));
    }
    let number = |t: &Tensor, i: usize| match t.data() {
        Data::F32(v) => f64::from(v[i]),
        Data::F16(v) => f64::from(v[i].to_f32()),
        Data::U32(v) => f64::from(v[i]),
        Data::I64(v) => v[i] as f64,
    };
    let bytes = |t: &Tensor| match t.data() {
        Data::U32(words) => Ok(words.iter().flat_map(|word| word.to_le_bytes().map(|b| f64::from(b as i8))).collect()),
        _ => Ok::<Vec<f64>, Error>(unpack(t.as_i64()?).map(f64::from).collect()),
    };
    let all: Vec<Worst> = match tolerance {
        Tolerance::Bytes(allowed) => {
            let pairs = bytes(found)?.into_iter().zip(bytes(expected)?);
            let byte = |(index, ((found, expected), allowed)): (usize, ((f64, f64), &f32))| Worst {
                index,
                found,
                expected,
                allowed: f64::from(*allowed),
            };
            pairs.zip(allowed).enumerate().map(byte).collect()
        }
        _ => {
            let allowed = |i: usize| match tolerance {
                Tolerance::Absolute(a) => a.get(i).copied().map_or(0.0, f64::from),
                _ => 0.0,
            };
            let element = |i| Worst { index: i, found: number(found, i), expected: number(expected, i), allowed: allowed(i) };
            (0..found.len()).map(element).collect()
        }
    };
    let worst = all.into_iter().max_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    worst.ok_or_else(|| Error::shape("check", "nothing to compare"))
}

/// What a checked step showed.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The op's name.
    pub op: String,
    /// The node's name.
    pub name: String,
    /// The worst element of its outputs.
    pub worst: Worst,
}

impl Runner {
    /// Like [`Runner::run`], but every step is compared with the reference, which gets the device's own operands.
    /// `seen` is told each step.
    ///
    /// # Errors
    /// [`Error::Check`] naming op, tensor and worst element of the first step that differs.
    pub fn check(&mut self, request: &Request, inputs: &[Tensor], seen: &mut dyn FnMut(&Checked)) -> Result<Vec<Tensor>> {
        interpreter::check_inputs(&self.graph, &request.symbols, inputs.iter().map(|t| (t.dtype(), t.shape())))?;
        let ready = self.executable(request)?;
        let (graph, plan) = (ready.graph.clone(), ready.plan.clone());
        let inputs = placed(&graph, &plan, inputs.iter().map(Given::Host))?;
        self.executable(request)?.begin(&inputs)?;
        for (at, step) in plan.steps.iter().enumerate() {
            let node = &graph.nodes[step.node];
            let operands: Vec<usize> = node.inputs.iter().map(|id| id.0).collect();
            let results: Vec<usize> = node.outputs.iter().map(|id| id.0).collect();
            let before = self.fetch(request, &operands)?;
            self.executable(request)?.run_step(at)?;
            let found = self.fetch(request, &results)?;
            let rule = node.op.rule();
            let expected = rule.reference(before.clone())?;
            let tolerances = rule.tolerance(&before, &expected)?;
            for ((found, expected), (tolerance, id)) in found.iter().zip(&expected).zip(tolerances.iter().zip(&node.outputs)) {
                let worst = worst(found.tensor()?, expected, tolerance)?;
                if worst.ratio() > 1.0 {
                    let device = &self.gpu.info().name;
                    let tensor = &graph.value(*id).name;
                    let kernels: Vec<String> = step.dispatches.iter().map(|d| d.kernel.to_string()).collect();
                    let kernels = kernels.join("; ");
                    return Err(Error::Check(format!(
                        "'{device}' differs from the reference first in {} '{}', tensor '{tensor}' {:?}: {worst} (kernels: {kernels})",
                        step.op,
                        step.name,
                        expected.shape()
                    )));
                }
                seen(&Checked { op: step.op.clone(), name: step.name.clone(), worst });
            }
        }
        self.fetch(request, &plan.outputs)?.into_iter().map(|o| Ok(o.tensor()?.clone())).collect()
    }

    /// Reads values back; weights are passed as they are.
    fn fetch(&mut self, request: &Request, values: &[usize]) -> Result<Vec<Input>> {
        let inputs = self.executable(request)?.inputs().clone();
        let plan = self.executable(request)?.plan.clone();
        let fetch = |i: &usize| {
            if let Origin::Weight(weight) = &self.graph.values[*i].origin {
                return Ok(Input::Weight(weight.clone()));
            }
            let slice = place(&self.gpu, &self.graph, &plan, *i, &self.weights, &self.storage, &inputs)?;
            let bytes = self.gpu.read(&[(&slice.buffer, slice.offset, slice.bytes)])?.remove(0);
            Ok(Input::Tensor(Arc::new(Tensor::from_device(plan.values[*i].dtype, &plan.values[*i].shape, &bytes)?)))
        };
        values.iter().map(fetch).collect()
    }
}
