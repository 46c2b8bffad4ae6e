//! Lays all activations of a plan out in one arena; values whose lifetimes do not meet share storage.

use super::{Place, PlanValue, check_binding};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Origin, ValueId};
use crate::kernel::Caps;
use crate::ops::Operand;

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
pub fn place_activations(
    graph: &Graph,
    values: &mut [PlanValue],
    shares: &Shares,
    scratch: &[usize],
    caps: &Caps,
) -> Result<(u64, u64)> {
    let end = graph.nodes.len();
    let roots: Vec<(usize, u64)> = (0..graph.values.len()).map(|i| shares.root(i)).collect();
    let mut uses: Vec<Option<(usize, usize)>> = vec![None; values.len()];
    let mut note = |value: usize, index: usize| {
        let (first, last) = uses[roots[value].0].get_or_insert((index, index));
        (*first, *last) = (index.min(*first), index.max(*last));
    };
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().chain(&node.outputs).for_each(|id| note(id.0, index));
    }
    graph.outputs.iter().for_each(|id| note(id.0, end));
    let mut lifetimes = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for id in node.outputs.iter().filter(|id| values[id.0].place == Place::Unused && roots[id.0] == (id.0, 0)) {
            debug_assert!(matches!(graph.value(*id).origin, Origin::Node));
            check_binding(&values[id.0], caps)?;
            let bytes = values[id.0].bytes().next_multiple_of(u64::from(caps.storage_align.max(16)));
            let (first, last) = uses[id.0].unwrap_or((index, index));
            lifetimes.push(Lifetime { value: id.0, bytes, first, last });
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
    for (i, (root, offset)) in roots.iter().enumerate().filter(|(i, (root, _))| i != root) {
        if matches!(values[*root].place, Place::Weight { .. } | Place::Unused) {
            return Err(Error::Unsupported(format!(
                "'{}' would share the storage of the weight '{}'",
                values[i].name, values[*root].name
            )));
        }
        values[i].place = match values[*root].place {
            Place::Arena(start) => Place::Arena(start + offset),
            ref place => place.clone(),
        };
    }
    Ok((arena, lifetimes.iter().map(|l| l.bytes).sum()))
}

/// Which values lie in the storage of others.
pub struct Shares(Vec<Option<(usize, u64)>>);

impl Shares {
    /// What ops leave where it is, and what ops would only put one after another: that is computed in its place, where all that an op
    /// joins can be.
    pub fn of(graph: &Graph, operands: &[Operand], caps: &Caps) -> Self {
        let mut shares = Shares(vec![None; graph.values.len()]);
        for node in &graph.nodes {
            let rule = node.op.rule();
            rule.updates()
                .iter()
                .for_each(|(output, input)| shares.0[node.outputs[*output].0] = Some((node.inputs[*input].0, 0)));
            if let Some(i) = rule.aliases() {
                shares.0[node.outputs[0].0] = Some((node.inputs[i].0, 0));
            }
        }
        for node in &graph.nodes {
            let Some(axis) = node.op.rule().joins() else { continue };
            let out = node.outputs[0].0;
            let outer: usize = operands[out].shape[..axis].iter().product();
            let mut joined: Vec<(usize, u64)> = Vec::new();
            let mut end = 0;
            for id in &node.inputs {
                joined.push((id.0, end));
                end += operands[id.0].dtype.device_bytes(operands[id.0].len());
            }
            let free = |(at, (value, offset)): (usize, &(usize, u64))| {
                let computed = matches!(graph.values[*value].origin, Origin::Node) && shares.0[*value].is_none();
                let twice = joined[..at].iter().any(|(other, _)| other == value);
                computed && !twice && offset.is_multiple_of(u64::from(caps.storage_align.max(16)))
            };
            if outer == 1 && joined.iter().enumerate().all(free) {
                joined.into_iter().for_each(|(value, offset)| shares.0[value] = Some((out, offset)));
            }
        }
        shares
    }

    /// Whether all inputs of a node are computed where it would put them.
    pub fn joined(&self, node: &Node) -> bool {
        let within = |id: &ValueId| self.0[id.0].is_some_and(|(value, _)| value == node.outputs[0].0);
        node.op.rule().joins().is_some() && node.inputs.iter().all(within)
    }

    /// The value in whose storage one lies, and how many bytes from its beginning.
    fn root(&self, value: usize) -> (usize, u64) {
        let (mut root, mut offset) = (value, 0);
        while let Some((next, distance)) = self.0[root] {
            (root, offset) = (next, offset + distance);
        }
        (root, offset)
    }
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
