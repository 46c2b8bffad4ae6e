//! Lays all activations of a plan out in one arena; values whose lifetimes do not meet share storage.

use super::{Place, PlanValue, check_binding};
use crate::error::{Error, Result};
use crate::graph::{Graph, Origin};
use crate::kernel::Caps;

/// One value that needs storage.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifetime {
    /// Index of the value.
    pub value: usize,
    /// Bytes, already rounded up to the alignment.
    pub bytes: u64,
    /// The node that computes it.
    pub first: usize,
    /// The last node that reads it.
    pub last: usize,
}

impl Lifetime {
    fn meets(&self, other: &Lifetime) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Offsets for `lifetimes`, in their order, and the bytes of the arena: the largest first, each at the lowest offset
/// at which it meets nothing that is already placed (greedy by size, Pisarchyk and Lee 2020, arXiv:2001.03288).
pub fn layout(lifetimes: &[Lifetime]) -> (Vec<u64>, u64) {
    let mut order: Vec<usize> = (0..lifetimes.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(lifetimes[*i].bytes), lifetimes[*i].first));
    let mut offsets = vec![0; lifetimes.len()];
    let mut placed: Vec<usize> = Vec::new();
    for i in order {
        let mut taken: Vec<(u64, u64)> = placed
            .iter()
            .filter(|j| lifetimes[**j].meets(&lifetimes[i]))
            .map(|j| (offsets[*j], offsets[*j] + lifetimes[*j].bytes))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + lifetimes[i].bytes <= start {
                break;
            }
            offset = offset.max(end);
        }
        offsets[i] = offset;
        placed.push(i);
    }
    let end = (0..lifetimes.len()).map(|i| offsets[i] + lifetimes[i].bytes).max().unwrap_or(0);
    (offsets, end)
}

/// Places every value that a node computes and that is not a state, and after the graph's values the scratch of the nodes
/// `scratch`; returns the arena's bytes and the sum of all sizes.
///
/// # Errors
/// [`Error::Unsupported`] when a value exceeds a binding, or the arena a buffer, of the device.
pub fn place_activations(graph: &Graph, values: &mut [PlanValue], scratch: &[usize], caps: &Caps) -> Result<(u64, u64)> {
    let end = graph.nodes.len();
    let roots = roots(graph);
    let mut last_use: Vec<usize> = vec![0; values.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().chain(&node.outputs).for_each(|id| last_use[roots[id.0]] = index);
    }
    graph.outputs.iter().for_each(|id| last_use[roots[id.0]] = end);
    let mut lifetimes = Vec::new();
    for (first, node) in graph.nodes.iter().enumerate() {
        for id in node.outputs.iter().filter(|id| values[id.0].place == Place::Unused && roots[id.0] == id.0) {
            debug_assert!(matches!(graph.value(*id).origin, Origin::Node));
            check_binding(&values[id.0], caps)?;
            let bytes = values[id.0].bytes().next_multiple_of(u64::from(caps.storage_align.max(16)));
            lifetimes.push(Lifetime { value: id.0, bytes, first, last: last_use[id.0] });
        }
    }
    for (value, node) in (graph.values.len()..).zip(scratch) {
        check_binding(&values[value], caps)?;
        let bytes = values[value].bytes().next_multiple_of(u64::from(caps.storage_align.max(16)));
        lifetimes.push(Lifetime { value, bytes, first: *node, last: *node });
    }
    let (offsets, arena) = layout(&lifetimes);
    if arena > caps.max_buffer {
        let what = format!("the activations take {arena} bytes, a buffer of this device holds {}", caps.max_buffer);
        return Err(Error::Unsupported(what));
    }
    for (lifetime, offset) in lifetimes.iter().zip(offsets) {
        values[lifetime.value].place = Place::Arena(offset);
    }
    for (i, root) in roots.iter().enumerate().filter(|(i, root)| i != *root) {
        if matches!(values[*root].place, Place::Weight { .. } | Place::Unused) {
            return Err(Error::Unsupported(format!(
                "'{}' would share the storage of the weight '{}'",
                values[i].name, values[*root].name
            )));
        }
        values[i].place = values[*root].place.clone();
    }
    Ok((arena, lifetimes.iter().map(|l| l.bytes).sum()))
}

/// For every value, the one in whose storage it lies: itself, unless an op leaves the elements where they are.
fn roots(graph: &Graph) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..graph.values.len()).collect();
    for node in &graph.nodes {
        if let Some(i) = node.op.rule().aliases() {
            roots[node.outputs[0].0] = roots[node.inputs[i].0];
        }
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(bytes: u64, first: usize, last: usize) -> Lifetime {
        Lifetime { value: 0, bytes, first, last }
    }

    #[test]
    fn a_chain_alternates_between_two_places() {
        let chain: Vec<Lifetime> = (0..8).map(|i| life(64, i, i + 1)).collect();
        let (offsets, end) = layout(&chain);
        assert_eq!(end, 128);
        assert!(offsets.windows(2).all(|w| w[0] != w[1]));
    }

    #[test]
    fn values_that_meet_never_overlap() {
        // A fixed sequence of mixed sizes and spans.
        let lives: Vec<Lifetime> = (0..40usize).map(|i| life(16 * (1 + (i * 7) as u64 % 13), i, i + (i * 5) % 9)).collect();
        let (offsets, end) = layout(&lives);
        for i in 0..lives.len() {
            for j in 0..i {
                let apart = offsets[i] + lives[i].bytes <= offsets[j] || offsets[j] + lives[j].bytes <= offsets[i];
                assert!(apart || !lives[i].meets(&lives[j]), "{i} and {j} overlap");
            }
        }
        assert!(end < lives.iter().map(|l| l.bytes).sum::<u64>());
    }
}
