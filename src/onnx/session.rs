//! A model's session: its stages, traced once for every set of shapes, run one after another.

mod describe;
mod run_all;
mod stage;

pub use describe::StageSummary;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::frames::{Frame, Frames, Kind};
use super::ops;
use super::tracer::Folds;
use super::value::{Array, Arrival, Content, Placed, Value, graph_type};
use super::walk::{End, initializers};
use crate::error::{Error, Result};
use crate::formats::onnx::{Dim, Graph, Model, Node, OnnxFile, ValueInfo, ValueKind, expand_functions};
use crate::gpu::check::Checked;
use crate::gpu::profile::{Profile, ProfileOptions};
use crate::gpu::{Located, WeightStore};
use crate::session::{Device, GraphSession};
use stage::{Stage, arrived, feeds, run_stage};

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
    watch: Watch,
}

/// Told every comparison of a checked run.
type Observer = Box<dyn FnMut(&Checked) + Send>;

/// What is done beside running.
enum Watch {
    Nothing,
    /// Every step is compared with the reference.
    Check(Observer),
    /// Every dispatch is timed; what was found so far, by stage.
    Profile(ProfileOptions, Vec<Profile>),
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
            watch: Watch::Nothing,
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

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
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
        let frames = self.begin(inputs)?;
        let results = self.execute(frames, false)?;
        results.into_iter().map(|(name, placed)| Ok((name, placed.to_host()?))).collect()
    }

    /// Like [`Session::run`], with inputs that may be on the device already, for example as results of another model, and results
    /// that stay there: nothing passes through the host.
    ///
    /// # Errors
    /// As [`Session::run`]; [`Error::Request`] for a tensor of another device.
    pub fn run_on_device(&mut self, inputs: &BTreeMap<String, Placed>) -> Result<Vec<(String, Placed)>> {
        let frames = self.start(inputs)?;
        self.execute(frames, true)
    }

    fn execute(&mut self, mut frames: Frames, on_device: bool) -> Result<Vec<(String, Placed)>> {
        loop {
            frames.prune();
            let (after, end) = self.step(&frames, on_device)?;
            frames = after;
            if end == End::Done {
                break;
            }
        }
        self.results(&frames)
    }

    /// The model's results, where all stages have run.
    fn results(&self, frames: &Frames) -> Result<Vec<(String, Placed)>> {
        let result = |o: &ValueInfo| {
            let value =
                frames.find(&o.name).ok_or_else(|| Error::shape("run", format!("the result '{}' was not computed", o.name)))?;
            let located = match &value.content {
                Content::Known(constant) => Located::Host(constant.tensor()?),
                Content::Arrived(arrival) => arrival.value().clone(),
                _ => return Err(Error::invalid("run", "a result that did not arrive")),
            };
            Ok((o.name.clone(), Placed { ty: value.ty, value: located }))
        };
        self.main.outputs.iter().map(result).collect()
    }

    /// From now on runs every step beside the CPU reference and tells `seen` each comparison; the first that differs is an
    /// [`Error::Check`]. On the CPU there is nothing to compare.
    pub fn check(&mut self, seen: impl FnMut(&Checked) + Send + 'static) {
        self.watch = Watch::Check(Box::new(seen));
    }

    /// Runs the model and times every dispatch: a profile of each stage that computes something, in the order in which they ran.
    ///
    /// # Errors
    /// As [`Session::run`]; [`Error::Request`] on the CPU, which has no dispatches.
    pub fn profile(&mut self, inputs: &BTreeMap<String, Array>, options: ProfileOptions) -> Result<Vec<Profile>> {
        let before = std::mem::replace(&mut self.watch, Watch::Profile(options, Vec::new()));
        let results = self.run(inputs);
        match std::mem::replace(&mut self.watch, before) {
            Watch::Profile(_, profiles) => results.map(|_| profiles),
            _ => Err(Error::invalid("profile", "nothing was timed")),
        }
    }

    /// Where tracing begins, with inputs that the host has.
    fn begin(&self, inputs: &BTreeMap<String, Array>) -> Result<Frames> {
        self.start(&inputs.iter().map(|(name, array)| (name.clone(), array.clone().into())).collect())
    }

    /// Where tracing begins, with these inputs.
    fn start(&self, inputs: &BTreeMap<String, Placed>) -> Result<Frames> {
        let mut scope = self.constants.clone();
        self.check_inputs(inputs)?;
        for (name, placed) in inputs {
            scope.insert(name.clone(), Value::arrived(placed.ty, placed.value.clone())?);
        }
        Ok(Frames(vec![Frame { graph: self.main.clone(), next: 0, scope, kind: Kind::Main }]))
    }

    fn check_inputs(&self, inputs: &BTreeMap<String, Placed>) -> Result<()> {
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
            let found = format!("{}{:?}", array.ty.name(), array.value.shape());
            if array.ty != *ty || graph_type(*ty) != Some(array.value.dtype()) {
                return refuse(format!("the input '{}' is {found}, the model takes {}", info.name, ty.name()));
            }
            let Some(shape) = shape else { continue };
            let mut fits = shape.len() == array.value.shape().len();
            for (dim, n) in shape.iter().zip(array.value.shape()) {
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
    fn step(&mut self, frames: &Frames, on_device: bool) -> Result<(Frames, End)> {
        let (mut stage, live) = self.stage(frames)?;
        let result = run_stage(&mut stage, frames, &live, on_device, &mut self.watch);
        self.keep(stage);
        result
    }

    /// Keeps a stage ready for later runs, unless a host step left values of one run in it.
    fn keep(&mut self, stage: Stage) {
        if stage.after.values().any(|v| matches!(v.content, Content::Arrived(_))) {
            drop(stage);
            return self.release_unused();
        }
        self.stages.push(stage);
        self.evict();
    }

    /// The stage that begins at `frames`, taken from those that are kept or traced; and the elements of the values there that
    /// have arrived.
    fn stage(&mut self, frames: &Frames) -> Result<(Stage, Vec<Option<Arc<Arrival>>>)> {
        let key = frames.key();
        let live = frames.arrivals();
        let stage = match self.stages.iter().position(|s| s.key == key && s.is_for(&live)) {
            Some(at) => self.stages.remove(at),
            None => self.device.planning(|| self.trace(frames, key, &live))?,
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
