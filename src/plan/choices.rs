//! Which lowering of a node is used: what was learnt about a device's kernels, as far as planning heeds it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernel::caps::{View, Width};
use crate::kernel::{Caps, Dispatch, Kernel};
use crate::ops::lowering::Scratch;
use crate::ops::{Lowering, Op, Operand};

/// Where the scratch values of a node by itself are numbered from: no value of a plan has as high a number.
pub const FIRST_SCRATCH: usize = usize::MAX / 2;

/// Which kernels a device gets wrong, and under which view of it a node runs fastest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choices {
    /// What was wrong with a kernel, by its name.
    pub struck: BTreeMap<String, String>,
    /// The fastest view, by what a node computes ([`Problem::signature`]).
    pub fastest: BTreeMap<String, View>,
}

/// A node with its shapes resolved: what lowering starts from.
pub struct Problem<'a> {
    /// What is computed.
    pub op: &'a Op,
    /// The operands in the op's order.
    pub inputs: Vec<Operand>,
    /// The results in the op's order.
    pub outputs: Vec<Operand>,
}

/// What a node is lowered to.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// What runs, in order.
    pub dispatches: Vec<Dispatch>,
    /// Values that only these use.
    pub scratch: Vec<Operand>,
}

impl Lowered {
    /// What tells two lowerings of one node apart: their kernels and grids.
    fn kernels(&self) -> Vec<(&Kernel, [u32; 3])> {
        self.dispatches.iter().map(|d| (&d.kernel, d.grid)).collect()
    }
}

/// What comes of something under views of a device.
pub type UnderViews<T> = Vec<(View, T)>;

impl Problem<'_> {
    /// Lowers for a device as `caps` describes it; `device` says what it is. The first scratch value is the plan's value `next`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when no kernel can do it within the limits.
    pub fn lower(&self, device: &Caps, caps: &Caps, next: usize) -> Result<Lowered> {
        let (inputs, outputs) = (&self.inputs[..], &self.outputs[..]);
        let short_loops = device.width == Width::Narrow;
        let mut cx = Lowering { caps, short_loops, inputs, outputs, dispatches: Vec::new(), scratch: Scratch::from(next) };
        self.op.rule().lower(&mut cx)?;
        Ok(Lowered { dispatches: cx.dispatches, scratch: cx.scratch.operands })
    }

    /// The lowerings that differ, each with the first view of the device that leads to it; that of the device as it is comes first.
    pub fn candidates(&self, device: &Caps) -> UnderViews<Lowered> {
        self.lowerings(device).0
    }

    /// The candidates, and the views under which no kernel can do it, each with the reason.
    pub fn lowerings(&self, device: &Caps) -> (UnderViews<Lowered>, UnderViews<Error>) {
        let (mut found, mut refused) = (UnderViews::<Lowered>::new(), UnderViews::new());
        for view in device.views() {
            match self.lower(device, &device.seen_as(view), FIRST_SCRATCH) {
                Ok(lowered) if found.iter().all(|(_, other)| other.kernels() != lowered.kernels()) => found.push((view, lowered)),
                Ok(_) => {}
                Err(e) => refused.push((view, e)),
            }
        }
        (found, refused)
    }

    /// What is computed, of which element types, on shapes of which class: sizes of weights as they are, others up to the next
    /// power of two.
    pub fn signature(&self) -> String {
        let operand = |o: &Operand| {
            let size = |n: &usize| if o.chunks.is_empty() { n.next_power_of_two() } else { *n };
            format!(" {}{:?}", o.dtype, o.shape.iter().map(size).collect::<Vec<_>>())
        };
        let operands: String = self.inputs.iter().map(operand).collect();
        format!("{}{operands}", self.op)
    }

    /// Arithmetic operations, at most.
    pub fn flops(&self) -> u64 {
        let shapes = |list: &[Operand]| list.iter().map(|o| o.shape.clone()).collect::<Vec<_>>();
        self.op.rule().flops(&shapes(&self.inputs), &shapes(&self.outputs))
    }
}

impl Choices {
    /// The reason for which a kernel of `lowered` must not be used.
    pub fn fault<'a>(&'a self, lowered: &Lowered) -> Option<&'a String> {
        if self.struck.is_empty() {
            return None;
        }
        lowered.dispatches.iter().find_map(|d| self.struck.get(&d.kernel.name()))
    }

    /// The fastest lowering known, else that of the device as it is; where it has a struck kernel, the first other one that has
    /// none.
    ///
    /// # Errors
    /// As [`Problem::lower`] of the device as it is; [`Error::Check`] when all that are left have struck kernels.
    pub(super) fn lower(&self, problem: &Problem<'_>, device: &Caps, next: usize) -> Result<Lowered> {
        let known = if self.fastest.is_empty() { None } else { self.fastest.get(&problem.signature()).copied() };
        if let Some(view) = known.filter(|view| device.views().contains(view))
            && let Ok(lowered) = problem.lower(device, &device.seen_as(view), next)
            && self.fault(&lowered).is_none()
        {
            return Ok(lowered);
        }
        let own = problem.lower(device, device, next)?;
        let Some(reason) = self.fault(&own) else { return Ok(own) };
        let wrong = || Error::Check(format!("every kernel for it is wrong or refused on this device; of the first: {reason}"));
        let sound = |(_, lowered): &(View, Lowered)| self.fault(lowered).is_none();
        let (view, _) = problem.candidates(device).into_iter().find(sound).ok_or_else(wrong)?;
        problem.lower(device, &device.seen_as(view), next)
    }
}
