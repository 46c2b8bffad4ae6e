//! What a run of a model consists of, without running more of it than has to be known.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{End, Session, Watch, run_stage};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::onnx::value::Array;

/// A part of a run between two steps of the host.
#[derive(Debug)]
pub struct StageSummary {
    /// The node at which it begins: its graph's name and its number there.
    pub place: String,
    /// Nodes of the graph before any pass, but for those that compute nothing or that nothing reads: each would be a kernel
    /// of its own.
    pub traced: usize,
    /// The optimised graph, as it is compiled; none where the stage computes nothing.
    pub graph: Option<Arc<Graph>>,
    /// What each pass changed in the graph.
    pub passes: Vec<(&'static str, usize)>,
    /// Whether it had to run, since what follows depends on its results.
    pub ran: bool,
}

impl Session {
    /// The stages of a run with such inputs.
    ///
    /// A model without control flow or shapes that depend on computed elements is one stage, of which nothing runs, and of the
    /// inputs only types and shapes matter. Else every stage but the last runs, and what follows may depend on the inputs'
    /// elements.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn describe(&mut self, inputs: &BTreeMap<String, Array>) -> Result<Vec<StageSummary>> {
        let mut frames = self.begin(inputs)?;
        let mut stages = Vec::new();
        loop {
            frames.prune();
            let (mut stage, live) = self.stage(&frames)?;
            let ran = stage.end != End::Done;
            let (graph, passes) = (stage.graph.clone(), stage.passes.clone());
            stages.push(StageSummary { place: frames.place(), traced: stage.traced, graph, passes, ran });
            if !ran {
                return Ok(stages);
            }
            if stages.len() == MOST_DESCRIBED {
                return Err(Error::Unsupported(format!("a description of more than {MOST_DESCRIBED} stages")));
            }
            frames = run_stage(&mut stage, &frames, &live, false, &mut Watch::Nothing)?.0;
        }
    }
}

/// Loops whose ends depend on what they compute have a stage for each iteration.
const MOST_DESCRIBED: usize = 1000;
