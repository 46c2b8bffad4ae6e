//! The passes over a graph, in the order in which they run. Each is verified after it ran.

mod absorb_views;
mod algebra;
mod common;
mod compose_views;
mod dead_code;
mod fine;
mod fold_scales;
mod fuse_elementwise;
mod fuse_halves;
mod fuse_norms;
mod fuse_packing;
mod fuse_tails;
mod inline_constants;
mod merge;
mod precision;
mod quantize_activations;
mod recognise_attention;
mod recognise_functions;
mod recognise_norms;
mod recognise_softmax;
mod rows;
mod sink_reshapes;

pub use precision::{Precision, set_precision};
pub use quantize_activations::quantize_activations;

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
    // Numbers in expressions need no operand; written there they also say what the expression is.
    ("inline-constants", inline_constants::run),
    // Twice the same is computed once; a value with two readers is then fused into neither.
    ("join-common", common::run),
    // What the outputs do not need is not worth fusing.
    ("remove-dead-code", dead_code::run),
    // Views of views read at once what they read one after another.
    ("compose-views", compose_views::run),
    // A reshape between a product and its bias would keep them apart.
    ("sink-reshapes", sink_reshapes::run),
    // Elementwise chains become one expression.
    ("fuse-elementwise", fuse_elementwise::run),
    // The long forms of functions, softmax and norms become what devices have kernels for.
    ("recognise-functions", recognise_functions::run),
    ("recognise-softmax", recognise_softmax::run),
    ("recognise-norms", recognise_norms::run),
    // Their reductions, unless something else reads them, are without readers now; shorter expressions fuse further.
    ("remove-dead-code", dead_code::run),
    // Rotary embeddings turn pairs of numbers, which models write as a copy of both halves in each other's places.
    ("fuse-halves", fuse_halves::run),
    ("fuse-elementwise", fuse_elementwise::run),
    // Products scale by themselves.
    ("fold-scales", fold_scales::run),
    // Scores that only a softmax reads, and weights that only a product reads, are stored no more. Masks between them must be one
    // expression by now, and the products without the tails of other nodes.
    ("recognise-attention", recognise_attention::run),
    // A product normalises its rows by itself, where its kernel can.
    ("fuse-norms", fuse_norms::run),
    // Elementwise consumers become tails of what they follow: biases, activations, residual adds, gates; and the factor and term
    // by channel of a batch normalisation, which cost the filter's kernel two operations an element. Folding them into the filter
    // would save these, and hold every such filter twice.
    ("fuse-tails", fuse_tails::run),
    // What quantises for a product of bytes packs them as well.
    ("fuse-packing", fuse_packing::run),
    // What is left behind a view reads through it.
    ("compose-views", compose_views::run),
    ("absorb-views", absorb_views::run),
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
