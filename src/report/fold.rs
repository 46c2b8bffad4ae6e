//! Steps of a profile put together by what they have in common.

use std::collections::HashMap;

use crate::gpu::profile::{Profile, StepTime};

/// Steps put together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fold {
    /// What they have in common.
    pub name: String,
    /// How many they are.
    pub steps: usize,
    /// Their dispatches.
    pub dispatches: usize,
    /// Their seconds.
    pub seconds: f64,
    known: Known,
}

/// The steps among them whose bytes are known; of the others, the operations are not known better.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    seconds: f64,
    bytes: u64,
    flops: u64,
}

impl Fold {
    fn add(&mut self, step: &StepTime) {
        let seconds = step.seconds();
        self.steps += 1;
        self.dispatches += step.dispatches.len();
        self.seconds += seconds;
        if let Some(bytes) = step.bytes {
            let Known { seconds: known, bytes: all, flops } = &self.known;
            self.known = Known { seconds: known + seconds, bytes: all + bytes, flops: flops + step.flops };
        }
    }

    /// Bytes moved per second by the steps of which they are known, where these are most of the time.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.rate(self.known.bytes)
    }

    /// Arithmetic operations per second, at most, of the same steps.
    pub fn flops_per_second(&self) -> Option<f64> {
        self.rate(self.known.flops)
    }

    fn rate(&self, amount: u64) -> Option<f64> {
        let seconds = self.known.seconds;
        (seconds > 0.0 && seconds * 2.0 > self.seconds).then(|| amount as f64 / seconds)
    }
}

/// The steps put together by `name`, those that took longest first.
pub fn fold(profile: &Profile, name: impl Fn(&StepTime) -> String) -> Vec<Fold> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut folds: Vec<Fold> = Vec::new();
    for step in &profile.steps {
        let name = name(step);
        let at = *places.entry(name.clone()).or_insert_with(|| {
            folds.push(Fold { name, ..Fold::default() });
            folds.len() - 1
        });
        folds[at].add(step);
    }
    folds.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    folds
}

/// By op.
pub fn by_op(profile: &Profile) -> Vec<Fold> {
    fold(profile, |step| step.op.clone())
}

/// By node of the source model.
pub fn by_node(profile: &Profile) -> Vec<Fold> {
    fold(profile, short_name)
}

/// By place in a layer: nodes whose names differ in numbers only are one, so that all layers of a model come together.
pub fn by_place(profile: &Profile) -> Vec<Fold> {
    fold(profile, |step| short_name(step).split(" + ").map(without_numbers).collect::<Vec<_>>().join(" + "))
}

/// Characters up to which a node that was made of several has the names of all.
const SHORT: usize = 44;

/// The names of the source model's nodes that a step computes, and their operators where the format has some.
pub fn sources(node: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    node.split(" + ").map(|one| {
        let parts = one.strip_prefix("node '").and_then(|rest| rest.rsplit_once("' ("));
        parts.map_or((one, None), |(name, operator)| (name, Some(operator.trim_end_matches(')'))))
    })
}

/// The source node that gives a step its name: of several the first whose operator is that of the step, else the last, since views and
/// norms stand before.
fn main_source(step: &StepTime) -> &str {
    let same = sources(&step.node).find(|(_, operator)| *operator == Some(step.op.as_str()));
    same.or_else(|| sources(&step.node).last()).map_or("", |(name, _)| name)
}

/// A step's source nodes in few characters: all of them, or one and the number of the others.
pub fn short_name(step: &StepTime) -> String {
    let names: Vec<&str> = sources(&step.node).map(|(name, _)| name).collect();
    let all = names.join(" + ");
    match names.len() {
        n if n > 1 && all.len() > SHORT => format!("{} +{}", main_source(step), n - 1),
        _ => all,
    }
}

/// The name with a star for each part between dots and slashes that is a number.
fn without_numbers(name: &str) -> String {
    let star = |part: &str| match part.trim_end_matches(['.', '/']) {
        number if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => part.replace(number, "*"),
        _ => part.to_owned(),
    };
    name.split_inclusive(['.', '/']).map(star).collect()
}

/// A node of a tree of names: what stands between dots and slashes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Branch {
    /// Its part of the name.
    pub name: String,
    /// Seconds of all that is in it.
    pub seconds: f64,
    /// What is in it, in the order in which it runs first.
    pub branches: Vec<Branch>,
}

impl Branch {
    fn child(&mut self, name: &str) -> &mut Branch {
        let at = self.branches.iter().position(|b| b.name == name).unwrap_or_else(|| {
            self.branches.push(Branch { name: name.to_owned(), ..Branch::default() });
            self.branches.len() - 1
        });
        &mut self.branches[at]
    }

    fn add(&mut self, path: &[&str], seconds: f64) {
        self.seconds += seconds;
        if let Some((first, rest)) = path.split_first() {
            self.child(first).add(rest, seconds);
        }
    }
}

/// The profile as a tree: the parts of the nodes' names, under them the ops, under these the shaders.
pub fn tree(name: &str, profile: &Profile) -> Branch {
    let mut root = Branch { name: name.to_owned(), ..Branch::default() };
    for step in &profile.steps {
        let parts: Vec<&str> = main_source(step).split(['.', '/']).filter(|part| !part.is_empty()).collect();
        // A number belongs to what it counts: `blk.3`, not `blk` and `3`.
        let mut path: Vec<String> = Vec::new();
        for part in parts {
            match path.last_mut() {
                Some(last) if part.bytes().all(|b| b.is_ascii_digit()) => *last = format!("{last}.{part}"),
                _ => path.push(part.to_owned()),
            }
        }
        path.push(step.op.clone());
        for dispatch in &step.dispatches {
            let whole: Vec<&str> = path.iter().map(String::as_str).chain([dispatch.shader.as_str()]).collect();
            root.add(&whole, dispatch.seconds);
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_come_together() {
        assert_eq!(without_numbers("blk.12.ffn_up"), "blk.*.ffn_up");
        assert_eq!(without_numbers("/layer/3/conv1/Conv"), "/layer/*/conv1/Conv");
        assert_eq!(without_numbers("output"), "output");
    }

    #[test]
    fn fused_steps_are_called_after_their_main_node() {
        let step =
            |op: &str, node: &str| StepTime { op: op.into(), node: node.into(), flops: 0, bytes: None, dispatches: Vec::new() };
        assert_eq!(short_name(&step("MatMul", "blk.0.ffn_down + blk.0.ffn_residual")), "blk.0.ffn_down + blk.0.ffn_residual");
        let node =
            "node '/body/layer.0/a/Slice' (Slice) + node '/body/layer.0/a/Conv' (Conv) + node '/body/layer.0/a/Relu' (Relu)";
        assert_eq!(short_name(&step("Conv", node)), "/body/layer.0/a/Conv +2");
        assert_eq!(short_name(&step("Attention", node)), "/body/layer.0/a/Relu +2");
    }

    #[test]
    fn seconds_of_branches_are_those_of_what_is_in_them() {
        let mut root = Branch::default();
        root.add(&["a", "b"], 1.0);
        root.add(&["a", "c"], 2.0);
        root.add(&["d"], 4.0);
        let seconds: Vec<f64> = root.branches.iter().map(|b| b.seconds).collect();
        assert_eq!((root.seconds, seconds), (7.0, vec![3.0, 4.0]));
    }
}
