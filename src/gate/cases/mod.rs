//! Graphs of every op in every way that lowering distinguishes; those of one op lie in the file of its kind.
//!
//! They are sound by construction: one that is not is a mistake in these files, and making it panics.

mod batched;
mod bytes;
mod convolution;
mod elementwise;
mod indexing;
mod language;
mod reductions;
mod spatial;
mod support;

use crate::graph::Graph;

/// All of them, of one node each.
pub fn graphs() -> Vec<Graph> {
    [
        batched::graphs(),
        bytes::graphs(),
        convolution::graphs(),
        elementwise::graphs(),
        indexing::graphs(),
        language::graphs(),
        reductions::graphs(),
        spatial::graphs(),
    ]
    .concat()
}
