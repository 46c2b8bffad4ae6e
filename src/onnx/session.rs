//! A model's session: its stages, traced once for every set of shapes, run one after another.

mod describe;

pub use describe::StageSummary;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::frames::{Frame, Frames, Kind};
use super::ops;
use super::tracer::{Folds, Tracer};
use super::value::{Array, Constant, Content, Value, from_device, graph_type};
use super::walk::{End, initializers, walk};
use crate::error::{Error, Result};
use crate::formats::onnx::{Dim, Graph, Model, Node, OnnxFile, ValueInfo, ValueKind, expand_functions};
use crate::gpu::WeightStore;
use crate::gpu::check::Checked;
use crate::graph::ValueId;
use crate::plan::{Request, passes};
use crate::session::{Device, GraphSession};
use crate::shape::Symbols;
use crate::tensor::Tensor;

/// Stages that are kept ready unless [`Session::keep_stages`] says otherwise.
const MOST_STAGES: usize = 16;

/// A model file on a device: named inputs to named results, for any shapes that the model takes.
pub struct Session {
    model: Model,
    device: Device,
    weights: Option<Arc<WeightStore>>,
    folds: Arc<Folds>,
    main: Arc<Graph>,
    constants: BTreeMap<String, Value>,
    /// Those that are ready, the one used last at the end.
    stages: Vec<Stage>,
    most_stages: usize,
    observer: Option<Observer>,
}

/// Told every comparison of a checked run.
type Observer = Box<dyn FnMut(&Checked) + Send>;

/// A part of a model that runs without the host, for one set of shapes.
struct Stage {
    key: Vec<u8>,
    /// Values at its beginning whose elements decided about it, by number, with these elements.
    specialised: Vec<(usize, Arc<Tensor>)>,
    /// Nothing where the stage computes nothing.
    session: Option<GraphSession>,
    /// What the session runs, and what each pass changed in it.
    graph: Option<Arc<crate::graph::Graph>>,
    passes: Vec<(&'static str, usize)>,
    outputs: usize,
    inputs: Vec<Source>,
    after: Frames,
    end: End,
    /// Keeps lasting constants at their places.
    _held: Vec<Arc<Constant>>,
}

/// Where the elements of a graph input come from.
enum Source {
    /// The value of that number at the stage's beginning.
    Live(usize),
    /// The stage itself: a constant of these shapes.
    Fixed(Arc<Tensor>),
}

impl Session {
    /// Opens a model file for `device`. Nothing is uploaded before the first run.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for files that cannot be read; [`Error::Unsupported`] naming all nodes with
    /// operators that are not known here.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        Session::new(OnnxFile::open(path)?.model, device)
    }

    /// The model for `device`.
    ///
    /// # Errors
    /// As [`Session::load`].
    pub fn new(mut model: Model, device: &Device) -> Result<Self> {
        expand_functions(&mut model)?;
        let mut unknown = Vec::new();
        unknown_nodes(&model.graph, &mut unknown);
        if !unknown.is_empty() {
            return Err(Error::Unsupported(format!("the operators of {}", unknown.join(", "))));
        }
        let weights = match device {
            Device::Cpu => None,
            Device::Gpu(gpu) => Some(WeightStore::new(gpu)),
        };
        let main = Arc::new(std::mem::take(&mut model.graph));
        let constants = initializers(&main);
        let device = device.clone();
        Ok(Session {
            model,
            device,
            weights,
            folds: Arc::default(),
            main,
            constants,
            stages: Vec::new(),
            most_stages: MOST_STAGES,
            observer: None,
        })
    }

    /// What the file says of itself; its graph is [`Session::graph`].
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model's graph, its functions expanded.
    pub fn graph(&self) -> &Graph {
        &self.main
    }

    /// What a run takes: the graph's inputs without those that have a default value.
    pub fn inputs(&self) -> impl Iterator<Item = &ValueInfo> {
        self.main.inputs.iter().filter(|i| !self.constants.contains_key(&i.name))
    }

    /// What a run yields.
    pub fn outputs(&self) -> impl Iterator<Item = &ValueInfo> {
        self.main.outputs.iter()
    }

    /// Keeps up to `most` stages ready, at least one; of more, the least recently used goes first, and with it the memory that
    /// it alone needs. A run takes one stage for each of its sets of shapes, and more where the host must look at elements on the
    /// way.
    pub fn keep_stages(&mut self, most: usize) {
        self.most_stages = most.max(1);
        self.evict();
    }

    /// The stages that are ready and compute something, the one used last at the end.
    pub fn stages(&self) -> impl Iterator<Item = &GraphSession> {
        self.stages.iter().filter_map(|stage| stage.session.as_ref())
    }

    /// Bytes of weights and activations on the device.
    pub fn bytes(&self) -> u64 {
        self.weights.as_ref().map_or(0, |weights| weights.bytes()) + self.stages().map(GraphSession::bytes).sum::<u64>()
    }

    /// Runs the model: a tensor for every input by name; those with a default value may be left out. The results are in the
    /// graph's order.
    ///
    /// # Errors
    /// [`Error::Request`] naming an input that is missing, unknown, or of another type or shape than the model says;
    /// [`Error::Shape`] naming the node that cannot take what it gets; [`Error::Unsupported`], [`Error::Device`].
    pub fn run(&mut self, inputs: &BTreeMap<String, Array>) -> Result<Vec<(String, Array)>> {
        let mut frames = self.start(inputs)?;
        loop {
            frames.prune();
            let (after, end) = self.step(&frames)?;
            frames = after;
            if end == End::Done {
                break;
            }
        }
        let result = |o: &ValueInfo| {
            let value =
                frames.find(&o.name).ok_or_else(|| Error::shape("run", format!("the result '{}' was not computed", o.name)))?;
            let tensor = match &value.content {
                Content::Known(constant) => constant.tensor()?,
                Content::Arrived(tensor) => tensor.clone(),
                _ => return Err(Error::invalid("run", "a result that did not arrive")),
            };
            Ok((o.name.clone(), Array { ty: value.ty, tensor: Arc::unwrap_or_clone(tensor) }))
        };
        self.main.outputs.iter().map(result).collect()
    }

    /// From now on runs every step beside the CPU reference and tells `seen` each comparison; the first that differs is an
    /// [`Error::Check`]. On the CPU there is nothing to compare.
    pub fn check(&mut self, seen: impl FnMut(&Checked) + Send + 'static) {
        self.observer = Some(Box::new(seen));
    }

    /// Where tracing begins, with these inputs.
    fn start(&self, inputs: &BTreeMap<String, Array>) -> Result<Frames> {
        let mut scope = self.constants.clone();
        self.check_inputs(inputs)?;
        for (name, array) in inputs {
            scope.insert(name.clone(), Value::arrived(array.ty, array.tensor.clone()));
        }
        Ok(Frames(vec![Frame { graph: self.main.clone(), next: 0, scope, kind: Kind::Main }]))
    }

    fn check_inputs(&self, inputs: &BTreeMap<String, Array>) -> Result<()> {
        let refuse = |what: String| Err(Error::Request(what));
        for name in inputs.keys() {
            if !self.main.inputs.iter().any(|i| i.name == *name) {
                let known: Vec<&str> = self.inputs().map(|i| i.name.as_str()).collect();
                return refuse(format!("the model has no input '{name}'; it takes {}", known.join(", ")));
            }
        }
        let mut symbols: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for info in self.main.inputs.iter() {
            let Some(array) = inputs.get(&info.name) else {
                if self.constants.contains_key(&info.name) {
                    continue;
                }
                return refuse(format!("the input '{}' is missing", info.name));
            };
            let ValueKind::Tensor { ty, shape } = &info.kind else {
                return Err(Error::Unsupported(format!("the input '{}', which is no tensor", info.name)));
            };
            let found = format!("{}{:?}", array.ty.name(), array.tensor.shape());
            if array.ty != *ty || graph_type(*ty) != Some(array.tensor.dtype()) {
                return refuse(format!("the input '{}' is {found}, the model takes {}", info.name, ty.name()));
            }
            let Some(shape) = shape else { continue };
            let mut fits = shape.len() == array.tensor.shape().len();
            for (dim, n) in shape.iter().zip(array.tensor.shape()) {
                match dim {
                    Dim::Value(m) => fits &= m == n,
                    Dim::Unknown => {}
                    Dim::Param(name) => {
                        let (m, of) = *symbols.entry(name).or_insert((*n, &info.name));
                        if m != *n {
                            return refuse(format!("'{name}' is {m} in the input '{of}' and {n} in '{}'", info.name));
                        }
                    }
                }
            }
            if !fits {
                return refuse(format!("the input '{}' is {found}, the model takes {shape:?}", info.name));
            }
        }
        Ok(())
    }

    /// Runs the stage that begins at `frames`; where tracing stands afterwards.
    fn step(&mut self, frames: &Frames) -> Result<(Frames, End)> {
        let (mut stage, live) = self.stage(frames)?;
        // A host step left values of this run alone.
        let again = !stage.after.values().any(|v| matches!(v.content, Content::Arrived(_)));
        let result = run_stage(&mut stage, frames, &live, &mut self.observer);
        if again {
            self.stages.push(stage);
            self.evict();
        } else {
            drop(stage);
            self.release_unused();
        }
        result
    }

    /// The stage that begins at `frames`, taken from those that are kept or traced; and the elements of the values there that
    /// have arrived.
    fn stage(&mut self, frames: &Frames) -> Result<(Stage, Vec<Option<Arc<Tensor>>>)> {
        let key = frames.key();
        let live: Vec<Option<Arc<Tensor>>> = frames
            .values()
            .map(|v| match &v.content {
                Content::Arrived(t) => Some(t.clone()),
                _ => None,
            })
            .collect();
        let same = |(i, t): &(usize, Arc<Tensor>)| live[*i].as_deref() == Some(t.as_ref());
        let stage = match self.stages.iter().position(|s| s.key == key && s.specialised.iter().all(same)) {
            Some(at) => self.stages.remove(at),
            None => self.trace(frames, key, &live)?,
        };
        Ok((stage, live))
    }

    /// Drops the stages that are too many.
    fn evict(&mut self) {
        let too_many = self.stages.len().saturating_sub(self.most_stages);
        if too_many > 0 {
            self.stages.drain(..too_many);
            self.release_unused();
        }
    }

    /// Drops the weights on the device that only stages now gone used.
    fn release_unused(&self) {
        if let Some(weights) = &self.weights {
            weights.release_unused();
        }
    }

    fn trace(&self, frames: &Frames, key: Vec<u8>, live: &[Option<Arc<Tensor>>]) -> Result<Stage> {
        let mut after = frames.clone();
        let mut tracer = Tracer::new(self.folds.clone());
        let end = walk(&mut after, &mut tracer)?;
        after.prune();
        let stuck = end == End::Stage && after.place() == frames.place();
        let number = |t: &Arc<Tensor>| live.iter().position(|l| l.as_ref().is_some_and(|l| Arc::ptr_eq(l, t)));
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
        let (mut optimised, mut changes) = (None, Vec::new());
        if !outputs.is_empty() {
            let (graph, tensors, constants) = tracer.finish(&outputs)?;
            let (graph, report) = passes::optimize(graph)?;
            log::debug!("stage at {}: {} nodes, passes {report:?}", frames.place(), graph.nodes.len());
            let graph = Arc::new(graph);
            session = Some(GraphSession::new(&self.device, graph.clone(), self.weights.clone())?);
            (optimised, changes) = (Some(graph), report);
            inputs = tensors.into_iter().map(|t| number(&t).map_or(Source::Fixed(t), Source::Live)).collect();
            held = constants;
        }
        let (graph, passes, outputs) = (optimised, changes, outputs.len());
        Ok(Stage { key, specialised, session, graph, passes, outputs, inputs, after, end, _held: held })
    }
}

fn run_stage(
    stage: &mut Stage,
    frames: &Frames,
    live: &[Option<Arc<Tensor>>],
    observer: &mut Option<Observer>,
) -> Result<(Frames, End)> {
    let mut results = Vec::new();
    if let Some(session) = &mut stage.session {
        let input = |source: &Source| match source {
            Source::Live(i) => live[*i].as_deref().cloned().ok_or_else(|| Error::invalid("run", "a value did not arrive")),
            Source::Fixed(t) => Ok(t.as_ref().clone()),
        };
        let inputs = stage.inputs.iter().map(input).collect::<Result<Vec<_>>>()?;
        let request = Request { symbols: Symbols::new(), outputs: (0..stage.outputs).collect() };
        let found = match observer {
            Some(seen) => session.check(&request, inputs, seen),
            None => session.run(&request, inputs),
        };
        results = found?.into_iter().map(Arc::new).collect();
    }
    let before: Vec<&Content> = frames.values().map(|v| &v.content).collect();
    let mut after = stage.after.clone();
    for value in after.values_mut() {
        value.content = match &value.content {
            Content::Pending(i) => Content::Arrived(from_device(&results[*i], value.ty)),
            Content::Passed(i) => before[*i].clone(),
            other => other.clone(),
        };
    }
    Ok((after, stage.end))
}

/// The nodes, also of inner graphs, whose operators are not known.
fn unknown_nodes(graph: &Graph, unknown: &mut Vec<String>) {
    for node in &graph.nodes {
        let control = node.domain.is_empty() && matches!(node.op_type.as_str(), "If" | "Loop" | "Scan");
        if !control && ops::find(&node.domain, &node.op_type).is_none() {
            unknown.push(name(node));
        }
        node.attributes.values().flat_map(|a| a.graphs()).for_each(|g| unknown_nodes(g, unknown));
    }
}

fn name(node: &Node) -> String {
    if node.domain.is_empty() { node.label() } else { format!("{} of '{}'", node.label(), node.domain) }
}
