//! A model with its stages: traced once for every set of shapes, run stage after stage.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::frames::{Frame, Frames, Kind};
use super::ops;
use super::tracer::{Folds, Tracer};
use super::value::{Array, Constant, Content, Value, graph_type};
use super::walk::{End, initializers, walk};
use crate::error::{Error, Result};
use crate::formats::ElementType;
use crate::formats::onnx::{Dim, Graph, Model, Node, OnnxFile, ValueInfo, ValueKind, expand_functions};
use crate::gpu::WeightStore;
use crate::graph::ValueId;
use crate::plan::{Request, passes};
use crate::session::{Device, Session};
use crate::shape::Symbols;
use crate::tensor::{Data, Tensor};

/// Stages that are kept ready; the least recently used goes first.
const MOST_STAGES: usize = 16;

/// An ONNX model on a device.
pub struct OnnxModel {
    model: Model,
    device: Device,
    weights: Option<Arc<WeightStore>>,
    folds: Arc<Folds>,
    main: Arc<Graph>,
    constants: BTreeMap<String, Value>,
    stages: Vec<Stage>,
}

/// A part of a model that runs without the host, for one set of shapes.
struct Stage {
    key: Vec<u8>,
    /// Values at its beginning whose elements decided about it, by number, with these elements.
    specialised: Vec<(usize, Arc<Tensor>)>,
    /// Nothing where the stage computes nothing.
    session: Option<Session>,
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

impl OnnxModel {
    /// Opens a model file for `device`. Nothing is uploaded before the first run.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for files that cannot be read; [`Error::Unsupported`] naming all nodes with
    /// operators that are not known here.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        OnnxModel::new(OnnxFile::open(path)?.model, device)
    }

    /// The model for `device`.
    ///
    /// # Errors
    /// As [`OnnxModel::open`].
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
        Ok(OnnxModel { model, device, weights, folds: Arc::default(), main, constants, stages: Vec::new() })
    }

    /// What the file says of itself; its graph is [`OnnxModel::graph`].
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

    /// Runs the model: a tensor for every input by name; those with a default value may be left out. The results are in the
    /// graph's order.
    ///
    /// # Errors
    /// [`Error::Request`] naming an input that is missing, unknown, or of another type or shape than the model says;
    /// [`Error::Shape`] naming the node that cannot take what it gets; [`Error::Unsupported`], [`Error::Device`].
    pub fn run(&mut self, inputs: &BTreeMap<String, Array>) -> Result<Vec<(String, Array)>> {
        let mut scope = self.constants.clone();
        self.check_inputs(inputs)?;
        for (name, array) in inputs {
            scope.insert(name.clone(), Value::arrived(array.ty, array.tensor.clone()));
        }
        let mut frames = Frames(vec![Frame { graph: self.main.clone(), next: 0, scope, kind: Kind::Main }]);
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
        // A host step left values of this run alone.
        let again = !stage.after.values().any(|v| matches!(v.content, Content::Arrived(_)));
        let mut stage = stage;
        let result = run_stage(&mut stage, frames, &live);
        if again {
            self.stages.push(stage);
            if self.stages.len() > MOST_STAGES {
                self.stages.remove(0);
            }
        }
        result
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
        if !outputs.is_empty() {
            let (graph, tensors, constants) = tracer.finish(&outputs)?;
            let (graph, report) = passes::optimize(graph)?;
            log::debug!("stage at {}: {} nodes, passes {report:?}", frames.place(), graph.nodes.len());
            session = Some(Session::new(&self.device, Arc::new(graph), self.weights.clone())?);
            inputs = tensors.into_iter().map(|t| number(&t).map_or(Source::Fixed(t), Source::Live)).collect();
            held = constants;
        }
        Ok(Stage { key, specialised, session, outputs: outputs.len(), inputs, after, end, _held: held })
    }
}

/// What a device holds of integers from 2^31 up is negative there.
fn in_range(tensor: &Arc<Tensor>, ty: ElementType) -> Arc<Tensor> {
    match tensor.data() {
        Data::I64(v) if ty == ElementType::Uint32 && v.iter().any(|n| *n < 0) => {
            let mut tensor = tensor.as_ref().clone();
            if let Data::I64(v) = tensor.data_mut() {
                v.iter_mut().for_each(|n| *n = i64::from(*n as u32));
            }
            Arc::new(tensor)
        }
        _ => tensor.clone(),
    }
}

fn run_stage(stage: &mut Stage, frames: &Frames, live: &[Option<Arc<Tensor>>]) -> Result<(Frames, End)> {
    let mut results = Vec::new();
    if let Some(session) = &mut stage.session {
        let input = |source: &Source| match source {
            Source::Live(i) => live[*i].as_deref().cloned().ok_or_else(|| Error::invalid("run", "a value did not arrive")),
            Source::Fixed(t) => Ok(t.as_ref().clone()),
        };
        let inputs = stage.inputs.iter().map(input).collect::<Result<Vec<_>>>()?;
        let request = Request { symbols: Symbols::new(), outputs: (0..stage.outputs).collect() };
        results = session.run(&request, inputs)?.into_iter().map(Arc::new).collect();
    }
    let before: Vec<&Content> = frames.values().map(|v| &v.content).collect();
    let mut after = stage.after.clone();
    for value in after.values_mut() {
        value.content = match &value.content {
            Content::Pending(i) => Content::Arrived(in_range(&results[*i], value.ty)),
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
