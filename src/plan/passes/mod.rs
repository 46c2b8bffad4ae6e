//! The passes over a graph, in the order in which they run. Each is verified after it ran.

mod common;
mod dead_code;
mod fuse_elementwise;
mod fuse_tails;
mod merge;

use crate::error::{Error, Result};
use crate::graph::{Graph, verify};

/// The part of an optimised graph that computes the outputs at `outputs`, and updates its states.
///
/// # Errors
/// [`Error::Request`] when there is no such output.
pub fn restrict(graph: &Graph, outputs: &[usize]) -> Result<Graph> {
    let pick = |i: &usize| graph.outputs.get(*i).copied().ok_or_else(|| Error::Request(format!("the graph has no output {i}")));
    let mut part = graph.clone();
    part.outputs = outputs.iter().map(pick).collect::<Result<_>>()?;
    dead_code::run(&mut part)?;
    Ok(part)
}

/// A rewrite of a whole graph: its name, and a function that returns how many places it changed.
pub type Pass = (&'static str, fn(&mut Graph) -> Result<usize>);

/// The list that [`optimize`] follows.
pub const PASSES: &[Pass] = &[
    // Twice the same is computed once; a value with two readers is then fused into neither.
    ("join-common", common::run),
    // What the outputs do not need is not worth fusing.
    ("remove-dead-code", dead_code::run),
    // Elementwise chains become one expression.
    ("fuse-elementwise", fuse_elementwise::run),
    // Elementwise consumers become tails of what they follow: biases, activations, residual adds, gates.
    ("fuse-tails", fuse_tails::run),
    // Fusing leaves weights and values without readers.
    ("remove-dead-code", dead_code::run),
];

/// The graph that plans are compiled from, and what each pass changed.
///
/// # Errors
/// [`crate::Error::Invalid`] naming the pass after which a rule of [`verify`](verify::verify) is broken.
pub fn optimize(mut graph: Graph) -> Result<(Graph, Vec<(&'static str, usize)>)> {
    let mut report = Vec::new();
    for (name, run) in PASSES {
        let changed = run(&mut graph)?;
        verify::verify(&graph, &format!("graph after pass {name}"))?;
        report.push((*name, changed));
    }
    Ok((graph, report))
}
