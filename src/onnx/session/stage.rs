//! A part of a model between two steps of the host: how it is traced, and how it runs.

use std::sync::Arc;

use super::{Session, Watch};
use crate::error::{Error, Result};
use crate::gpu::Located;
use crate::graph::ValueId;
use crate::onnx::frames::Frames;
use crate::onnx::tracer::{Source, Tracer};
use crate::onnx::value::{Arrival, Constant, Content};
use crate::onnx::walk::{End, walk};
use crate::plan::{Request, passes};
use crate::session::GraphSession;
use crate::shape::Symbols;
use crate::tensor::Tensor;

/// A part of a model that runs without the host, for one set of shapes.
pub(super) struct Stage {
    pub key: Vec<u8>,
    /// Values at its beginning whose elements decided about it, by number, with these elements.
    pub specialised: Vec<(usize, Arc<Arrival>)>,
    /// Nothing where the stage computes nothing.
    pub session: Option<GraphSession>,
    /// Nodes of the graph as it was traced, but for those that compute nothing or that nothing reads.
    pub traced: usize,
    /// What the session runs, and what each pass changed in it.
    pub graph: Option<Arc<crate::graph::Graph>>,
    pub passes: Vec<(&'static str, usize)>,
    pub outputs: usize,
    pub inputs: Vec<Origin>,
    pub after: Frames,
    pub end: End,
    /// Keeps lasting constants at their places.
    _held: Vec<Arc<Constant>>,
}

impl Stage {
    /// Whether the elements that decided about the stage are those of `live`, the values that have arrived.
    pub fn is_for(&self, live: &[Option<Arc<Arrival>>]) -> bool {
        let same = |(i, wanted): &(usize, Arc<Arrival>)| {
            let found = live.get(*i).and_then(Option::as_ref).map(|a| a.tensor());
            matches!((found, wanted.tensor()), (Some(Ok(a)), Ok(b)) if a == b)
        };
        self.specialised.iter().all(same)
    }
}

/// Where the elements of a graph input come from.
pub(super) enum Origin {
    /// The value of that number at the stage's beginning.
    Live(usize),
    /// The stage itself: a constant of these shapes.
    Fixed(Arc<Tensor>),
}

impl Session {
    /// Traces the stage that begins at `frames`, whose values `live` have arrived.
    ///
    /// # Errors
    /// What the translation of a node says.
    pub(super) fn trace(&self, frames: &Frames, key: Vec<u8>, live: &[Option<Arc<Arrival>>]) -> Result<Stage> {
        let mut after = frames.clone();
        let mut tracer = Tracer::new(self.folds.clone());
        let end = walk(&mut after, &mut tracer)?;
        after.prune();
        let stuck = end == End::Stage && after.place() == frames.place();
        let number = |t: &Arc<Arrival>| live.iter().position(|l| l.as_ref().is_some_and(|l| Arc::ptr_eq(l, t)));
        let mut outputs: Vec<ValueId> = Vec::new();
        for value in after.values_mut() {
            match &value.content {
                Content::Traced(id) => {
                    let at = outputs.iter().position(|o| o == id).unwrap_or_else(|| {
                        outputs.push(*id);
                        outputs.len() - 1
                    });
                    value.content = Content::Pending(at);
                }
                Content::Arrived(t) => {
                    if let Some(at) = number(t) {
                        value.content = Content::Passed(at);
                    }
                }
                _ => {}
            }
        }
        if stuck && outputs.is_empty() {
            return Err(Error::invalid("trace", format!("{} waits for what no stage computes", tracer.label())));
        }
        let specialised = tracer.specialised.iter().filter_map(|t| Some((number(t)?, t.clone()))).collect();
        let (mut session, mut inputs, mut held) = (None, Vec::new(), Vec::new());
        let (mut traced, mut optimised, mut changes) = (0, None, Vec::new());
        if !outputs.is_empty() {
            let (graph, sources, constants) = tracer.finish(&outputs)?;
            let needed = passes::restrict(&graph, &(0..outputs.len()).collect::<Vec<_>>())?;
            traced = needed.nodes.iter().filter(|n| n.op.rule().aliases().is_none()).count();
            let (graph, report) = passes::optimize(graph)?;
            log::debug!("stage at {}: {} nodes, passes {report:?}", frames.place(), graph.nodes.len());
            let graph = Arc::new(graph);
            session = Some(GraphSession::new(&self.device, graph.clone(), self.weights.clone())?);
            (optimised, changes) = (Some(graph), report);
            inputs = sources
                .into_iter()
                .map(|source| match source {
                    Source::Fixed(tensor) => Ok(Origin::Fixed(tensor)),
                    Source::Arrived(a) => Ok(number(&a).map_or(Origin::Fixed(a.tensor()?), Origin::Live)),
                })
                .collect::<Result<_>>()?;
            held = constants;
        }
        let (graph, passes, outputs) = (optimised, changes, outputs.len());
        Ok(Stage { key, specialised, session, traced, graph, passes, outputs, inputs, after, end, _held: held })
    }
}

/// Runs a stage from `frames` on; where tracing stands then. What stages hand on to others stays on the device, and so do the
/// model's results if `on_device`.
pub(super) fn run_stage(
    stage: &mut Stage,
    frames: &Frames,
    live: &[Option<Arc<Arrival>>],
    on_device: bool,
    watch: &mut Watch,
) -> Result<(Frames, End)> {
    let mut results = Vec::new();
    if let Some(session) = &mut stage.session {
        let inputs = feeds(&stage.inputs, live)?;
        let request = Request { symbols: Symbols::new(), outputs: (0..stage.outputs).collect() };
        let on_host = || inputs.iter().map(|i| i.to_host().map(Arc::unwrap_or_clone)).collect::<Result<Vec<Tensor>>>();
        let found: Vec<Located> = match watch {
            Watch::Check(seen) => session.check(&request, on_host()?, seen)?.into_iter().map(Located::from).collect(),
            Watch::Profile(options, profiles) => {
                let (results, profile) = session.profile(&request, on_host()?, *options)?;
                profiles.push(profile);
                results.into_iter().map(Located::from).collect()
            }
            Watch::Nothing if on_device || stage.end == End::Stage || inputs.iter().any(|i| matches!(i, Located::Device(_))) => {
                session.run_on_device(&request, inputs)?
            }
            Watch::Nothing => session.run(&request, on_host()?)?.into_iter().map(Located::from).collect(),
        };
        results = found.into_iter().map(Arrival::new).collect();
    }
    Ok((arrived(&stage.after, frames, &results), stage.end))
}

/// What a stage's graph gets.
pub(super) fn feeds(origins: &[Origin], live: &[Option<Arc<Arrival>>]) -> Result<Vec<Located>> {
    let feed = |origin: &Origin| match origin {
        Origin::Live(i) => {
            let arrival = live.get(*i).and_then(Option::as_ref).ok_or_else(|| Error::invalid("run", "a value did not arrive"))?;
            Ok(arrival.value().clone())
        }
        Origin::Fixed(tensor) => Ok(Located::Host(tensor.clone())),
    };
    origins.iter().map(feed).collect()
}

/// Where tracing stands after a stage that began at `frames`, with its results.
pub(super) fn arrived(after: &Frames, frames: &Frames, results: &[Arc<Arrival>]) -> Frames {
    let before: Vec<&Content> = frames.values().map(|v| &v.content).collect();
    let mut after = after.clone();
    for value in after.values_mut() {
        value.content = match &value.content {
            Content::Pending(i) => Content::Arrived(results[*i].clone()),
            Content::Passed(i) => before[*i].clone(),
            other => other.clone(),
        };
    }
    after
}
