//! How many bytes the dispatches of a plan bind: what a kernel that is bound by memory must move.

use std::collections::HashSet;

use super::{Place, Plan, Step};
use crate::graph::Graph;
use crate::kernel::Resource;
use crate::quant::Format;

/// What a step must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepWork {
    /// Arithmetic operations; at most as many where bytes are not known.
    pub flops: u64,
    /// Bytes that it must move. None where they would say nothing: for ops that pick some elements of an operand, and for states of
    /// which nobody knows what is read or written.
    pub bytes: Option<u64>,
}

/// Ops that may leave most of an operand alone.
const PICK: [&str; 8] = ["Embed", "Gather", "GatherElements", "GatherNd", "GatherRows", "GridSample", "RoiAlign", "View"];

impl Plan {
    /// Bytes of what a binding holds: of a value as a whole, or of one plane of a weight's chunk.
    pub fn resource_bytes(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Value(i) => self.values.get(i).map_or(0, |value| {
                let elements = value.shape.iter().product();
                if matches!(value.place, Place::Weight { .. }) { super::dense_type(value.dtype) } else { value.dtype }
                    .device_bytes(elements)
            }),
            Resource::Plane { value, chunk, plane } => {
                let Some(value) = self.values.get(value) else { return 0 };
                let Place::Weight { chunks, .. } = &value.place else { return 0 };
                let (Some(format), Some(rows)) = (Format::of(value.dtype), chunks.get(chunk)) else { return 0 };
                let columns = value.shape.last().copied().unwrap_or(1);
                format.plane_bytes(rows.len(), columns).get(plane).map_or(0, |bytes| *bytes as u64)
            }
        }
    }

    /// What a step of this plan of `graph` must do: the bytes of all that its dispatches bind, each resource once, but for what only they
    /// hand over among themselves; of states, what the elements say that are known before the run (`known`, by value).
    pub fn step_work(&self, graph: &Graph, step: &Step, known: &dyn Fn(usize) -> Option<Vec<u32>>) -> StepWork {
        let bindings = || step.dispatches.iter().flat_map(|d| &d.bindings);
        let bound = |writes: bool| bindings().filter(move |b| b.writes == writes).map(|b| b.resource).collect::<HashSet<_>>();
        let (read, written) = (bound(false), bound(true));
        let state = |r: &&Resource| match r {
            Resource::Value(i) => self.values.get(*i).filter(|v| matches!(v.place, Place::State(_))),
            Resource::Plane { .. } => None,
        };
        let moved = read.symmetric_difference(&written).filter(|r| state(r).is_none()).map(|r| self.resource_bytes(*r)).sum();
        let unknown = StepWork { flops: step.flops, bytes: None };
        if PICK.contains(&step.op.as_str()) {
            return unknown;
        }
        let Some(element) = read.union(&written).find_map(|r| state(&r)).map(|value| value.dtype.device_bytes(1)) else {
            return StepWork { bytes: Some(moved), ..unknown };
        };
        let node = &graph.nodes[step.node];
        let shapes: Vec<Vec<usize>> = node.inputs.iter().map(|id| self.values[id.0].shape.clone()).collect();
        let work = node.op.rule().state_work(&shapes, &|operand| known(node.inputs[operand].0));
        work.map_or(unknown, |work| StepWork { flops: work.flops, bytes: Some(moved + work.elements * element) })
    }

    /// Bytes of the weights that a run reads whole: all but the table of embeddings, unless that is also multiplied with.
    pub fn weight_bytes_read(&self) -> u64 {
        let is_weight = |resource: &Resource| match resource {
            Resource::Value(i) => matches!(self.values[*i].place, Place::Weight { .. }),
            Resource::Plane { .. } => true,
        };
        let dispatches = self.steps.iter().filter(|step| step.op != "Embed").flat_map(|step| &step.dispatches);
        let resources: HashSet<Resource> = dispatches.flat_map(|d| &d.bindings).map(|b| b.resource).collect();
        resources.into_iter().filter(is_weight).map(|r| self.resource_bytes(r)).sum()
    }
}
