//! How many bytes the dispatches of a plan bind: what a kernel that is bound by memory must move.

use std::collections::HashSet;

use super::{Place, Plan, Step};
use crate::kernel::Resource;
use crate::quant::Format;

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

    /// Bytes that a step must move: of all that its dispatches bind, each resource once, but for what only they hand over among
    /// themselves. `None` where that would say nothing: for ops that pick some elements of an operand, and for states, of which a
    /// step reads or writes as much as the sequences are long.
    pub fn step_bytes(&self, step: &Step) -> Option<u64> {
        let bindings = || step.dispatches.iter().flat_map(|d| &d.bindings);
        let bound = |writes: bool| bindings().filter(move |b| b.writes == writes).map(|b| b.resource).collect::<HashSet<_>>();
        let (read, written) = (bound(false), bound(true));
        let state = |r: &Resource| matches!(r, Resource::Value(i) if self.values.get(*i).is_some_and(|v| matches!(v.place, Place::State(_))));
        if PICK.contains(&step.op.as_str()) || read.union(&written).any(state) {
            return None;
        }
        Some(read.symmetric_difference(&written).map(|r| self.resource_bytes(*r)).sum())
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
