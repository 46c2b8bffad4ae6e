//! How weights are cut into row chunks, and in which forms they are needed.

use std::ops::Range;

use super::{Place, Plan, PlanValue, Step, binds_value};
use crate::error::{Error, Result};
use crate::graph::{Origin, Value};
use crate::kernel::{Caps, Resource};
use crate::quant::Format;
use crate::tensor::Weight;

/// Chunks begin at multiples of this where they are longer, so that only the last workgroup of a chunk is ragged.
const TILE: usize = 64;

/// The row ranges whose packed planes fit one binding each. They depend on the weight and the device alone.
///
/// # Errors
/// [`Error::Unsupported`] when a single row does not fit.
pub fn chunks(name: &str, weight: &Weight, caps: &Caps) -> Result<Vec<Range<usize>>> {
    let Some(format) = Format::of(weight.dtype()) else { return Ok(Vec::new()) };
    let (rows, columns) = (weight.rows(), weight.columns());
    let row = format.plane_bytes(1, columns).into_iter().max().unwrap_or(0) as u64;
    let limit = caps.max_binding.min(caps.max_buffer);
    let most = usize::try_from(limit / row.max(1)).unwrap_or(usize::MAX);
    if most == 0 {
        let what = format!("a row of '{name}' takes {row} bytes packed, a binding of this device holds {limit}");
        return Err(Error::Unsupported(what));
    }
    let most = if most > TILE { most / TILE * TILE } else { most };
    Ok((0..rows.div_ceil(most)).map(|i| i * most..rows.min((i + 1) * most)).collect())
}

/// The place of a weight before its readers are known; every other value is [`Place::Unused`] until it is placed.
pub fn place(value: &Value, chunks: Vec<Range<usize>>) -> Place {
    match value.origin {
        Origin::Weight(_) => Place::Weight { chunks, dense: false },
        _ => Place::Unused,
    }
}

/// Keeps the chunks of weights that some kernel reads packed, and marks those that some kernel reads densely.
pub fn note_forms(values: &mut [PlanValue], steps: &[Step]) {
    let dispatches = || steps.iter().flat_map(|s| &s.dispatches);
    for (i, value) in values.iter_mut().enumerate() {
        let Place::Weight { chunks, dense } = &mut value.place else { continue };
        *dense = dispatches().any(|d| binds_value(d, i));
        let is_plane = |r: &Resource| matches!(r, Resource::Plane { value, .. } if *value == i);
        if !dispatches().flat_map(|d| &d.bindings).any(|b| is_plane(&b.resource)) {
            chunks.clear();
        }
        if chunks.is_empty() && !*dense {
            value.place = Place::Unused;
        }
    }
}

impl Plan {
    /// Bytes of the weights on a device, in the forms that this plan reads.
    pub fn weight_bytes(&self) -> u64 {
        let bytes = |value: &PlanValue| {
            let Place::Weight { chunks, dense } = &value.place else { return 0 };
            let columns = value.shape.last().copied().unwrap_or(1);
            let planes = |rows: &Range<usize>| Format::of(value.dtype).map_or([0; 3], |f| f.plane_bytes(rows.len(), columns));
            let packed: usize = chunks.iter().flat_map(planes).sum();
            let dense = if *dense { 4 * value.shape.iter().product::<usize>() } else { 0 };
            (packed + dense) as u64
        };
        self.values.iter().map(bytes).sum()
    }
}
