//! The passes over a graph, in the order in which they run. Each is verified after it ran.

mod dead_code;
mod fuse_tails;

use crate::error::Result;
use crate::graph::{Graph, verify};

/// A rewrite of a whole graph: its name, and a function that returns how many places it changed.
pub type Pass = (&'static str, fn(&mut Graph) -> Result<usize>);

/// The list that [`optimize`] follows.
pub const PASSES: &[Pass] = &[
    // What the outputs do not need is not worth fusing.
    ("remove-dead-code", dead_code::run),
    // Elementwise consumers become tails of the products they follow: residual adds, gates.
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
