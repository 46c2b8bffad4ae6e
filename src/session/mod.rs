//! A graph with its states on one device: runs it, on a GPU by plans or on the CPU by the reference.

pub mod pages;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::check::Checked;
use crate::gpu::profile::{Profile, ProfileOptions};
use crate::gpu::record::cache_folder;
use crate::gpu::{Budget, DeviceChoice, Gpu, Located, Record, Runner, WeightStore};
use crate::graph::Graph;
use crate::graph::interpreter::{self, States};
use crate::plan::{self, Plan, Request};
use crate::tensor::Tensor;

/// Where graphs run.
#[derive(Clone)]
pub enum Device {
    /// The CPU reference.
    Cpu,
    /// A GPU.
    Gpu(Gpu),
}

impl Device {
    /// Opens the device that `name` asks for: `cpu`, an index, a part of an adapter's name, or the best when absent. Its kernels are
    /// compared with the reference before their first use, and what was learnt is kept in the user's folder for caches.
    ///
    /// # Errors
    /// [`crate::Error::NoDevice`] and [`crate::Error::Device`], as [`Gpu::open`].
    pub fn open(name: Option<&str>) -> Result<Self> {
        Device::open_with(name, Budget::default())
    }

    /// Like [`Device::open`], with so much time for learning about the device.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_with(name: Option<&str>, budget: Budget) -> Result<Self> {
        Self::open_by(name, budget, Gpu::open)
    }

    /// Like [`Device::open_with`], with what [`Gpu::open_experimental`] adds.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_experimental(name: Option<&str>, budget: Budget) -> Result<Self> {
        Self::open_by(name, budget, Gpu::open_experimental)
    }

    fn open_by(name: Option<&str>, budget: Budget, open: fn(&DeviceChoice) -> Result<Gpu>) -> Result<Self> {
        let choice = match name {
            None => DeviceChoice::Best,
            Some("cpu") => return Ok(Device::Cpu),
            Some(name) => name.parse().map_or_else(|_| DeviceChoice::Name(name.into()), DeviceChoice::Index),
        };
        let gpu = open(&choice)?;
        let record = match cache_folder() {
            Some(folder) => Record::open(&folder, gpu.info(), budget),
            None => Record::new(budget),
        };
        Ok(Device::Gpu(gpu.with_record(Arc::new(record))))
    }

    /// The GPU, where it is one.
    pub fn gpu(&self) -> Option<&Gpu> {
        match self {
            Device::Cpu => None,
            Device::Gpu(gpu) => Some(gpu),
        }
    }

    /// Does `work`, whose time counts as planning ([`crate::gpu::Preparation`]).
    pub(crate) fn planning<T>(&self, work: impl FnOnce() -> T) -> T {
        match self {
            Device::Cpu => work(),
            Device::Gpu(gpu) => gpu.timed(|p| &mut p.planning, work),
        }
    }

    /// The adapter's name, or `cpu`.
    pub fn name(&self) -> &str {
        match self {
            Device::Cpu => "cpu",
            Device::Gpu(gpu) => &gpu.info().name,
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.name())
    }
}

/// Told every comparison of a checked run.
pub type Observer<'a> = &'a mut dyn FnMut(&Checked);

/// A graph with its states on one device.
pub struct GraphSession(Backend);

enum Backend {
    Cpu { graph: Arc<Graph>, states: States, parts: Vec<(Vec<usize>, Arc<Graph>)> },
    Gpu(Runner),
}

impl GraphSession {
    /// A session of an optimised graph with its states at zero. `weights`, where sessions share them, belong to the same
    /// graph or one with the same weights at the same places.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device runs out of memory, [`crate::Error::Unsupported`] when a state exceeds its limits.
    pub fn new(device: &Device, graph: Arc<Graph>, weights: Option<Arc<WeightStore>>) -> Result<Self> {
        Ok(GraphSession(match device {
            Device::Cpu => Backend::Cpu { states: States::zeros(&graph)?, graph, parts: Vec::new() },
            Device::Gpu(gpu) => Backend::Gpu(Runner::new(gpu, graph, weights.unwrap_or_else(|| WeightStore::new(gpu)))?),
        }))
    }

    /// Makes everything ready that runs of `request` need, and returns the plan where there is one; `progress` is told the
    /// bytes of weights uploaded and to upload.
    ///
    /// # Errors
    /// Those of [`plan::compile`] and [`crate::Error::Device`].
    pub fn prepare(&mut self, request: &Request, progress: crate::gpu::Progress<'_>) -> Result<Option<Arc<Plan>>> {
        match &mut self.0 {
            Backend::Cpu { .. } => Ok(None),
            Backend::Gpu(runner) => runner.prepare(request, progress).map(Some),
        }
    }

    /// Runs once: all inputs in the graph's order, the results that `request` asks for.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when an input does not fit, [`crate::Error::Device`] when the device fails.
    pub fn run(&mut self, request: &Request, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        match &mut self.0 {
            Backend::Gpu(runner) => runner.run(request, &inputs),
            Backend::Cpu { graph, states, parts } => {
                let known = parts.iter().position(|(outputs, _)| *outputs == request.outputs);
                let part = match known {
                    Some(at) => parts[at].1.clone(),
                    None => {
                        let part = Arc::new(plan::passes::restrict(graph, &request.outputs)?);
                        parts.push((request.outputs.clone(), part.clone()));
                        part
                    }
                };
                interpreter::run(&part, &request.symbols, inputs, states)
            }
        }
    }

    /// Starts a run whose results [`GraphSession::finish`] yields, at most two at a time. With `chained`, an input and an output, that
    /// input is what the run started before yields as that output. The CPU does one thing
    /// after another.
    ///
    /// # Errors
    /// As [`Runner::start`]; [`crate::Error::Unsupported`] on the CPU.
    pub fn start(&mut self, request: &Request, inputs: &[Tensor], chained: Option<(usize, usize)>) -> Result<()> {
        match &mut self.0 {
            Backend::Cpu { .. } => Err(crate::Error::Unsupported("runs that are waited for later, on the CPU".into())),
            Backend::Gpu(runner) => runner.start(request, inputs, chained),
        }
    }

    /// Waits for the run that was started first.
    ///
    /// # Errors
    /// As [`Runner::finish`].
    pub fn finish(&mut self) -> Result<Vec<Tensor>> {
        match &mut self.0 {
            Backend::Cpu { .. } => Err(crate::Error::invalid("session", "no run is under way")),
            Backend::Gpu(runner) => runner.finish(),
        }
    }

    /// Like [`GraphSession::run`], with inputs that may be on the device already, and results that stay there.
    ///
    /// # Errors
    /// As [`GraphSession::run`]; [`crate::Error::Request`] for a tensor of another device.
    pub fn run_on_device(&mut self, request: &Request, inputs: Vec<Located>) -> Result<Vec<Located>> {
        match &mut self.0 {
            Backend::Gpu(runner) => Ok(runner.run_on_device(request, &inputs)?.into_iter().map(Located::Device).collect()),
            Backend::Cpu { .. } => {
                let inputs = inputs.iter().map(|t| t.to_host().map(Arc::unwrap_or_clone)).collect::<Result<_>>()?;
                Ok(self.run(request, inputs)?.into_iter().map(Located::from).collect())
            }
        }
    }

    /// Runs once for each of `inputs`. On a GPU the host brings the next inputs and takes the results before while the device
    /// computes. Results go to `each` in order.
    ///
    /// # Errors
    /// As [`GraphSession::run_on_device`]; the first error of `inputs` or `each` ends it.
    pub fn run_all(
        &mut self,
        request: &Request,
        inputs: &mut dyn Iterator<Item = Result<Vec<Located>>>,
        each: &mut dyn FnMut(Vec<Tensor>) -> Result<()>,
    ) -> Result<()> {
        if let Backend::Gpu(runner) = &mut self.0 {
            return runner.run_all(request, inputs, each);
        }
        for inputs in inputs {
            let inputs = inputs?.iter().map(|t| t.to_host().map(Arc::unwrap_or_clone)).collect::<Result<_>>()?;
            each(self.run(request, inputs)?)?;
        }
        Ok(())
    }

    /// Like [`GraphSession::run`], with every step compared with the reference; on the CPU there is nothing to compare.
    ///
    /// # Errors
    /// [`crate::Error::Check`] naming the first step that differs.
    pub fn check(&mut self, request: &Request, inputs: Vec<Tensor>, seen: Observer<'_>) -> Result<Vec<Tensor>> {
        match &mut self.0 {
            Backend::Gpu(runner) => runner.check(request, &inputs, seen),
            Backend::Cpu { .. } => self.run(request, inputs),
        }
    }

    /// Runs several times and times every dispatch; also the results, which are those of [`GraphSession::run`].
    ///
    /// # Errors
    /// As [`Runner::profile`]; [`Error::Request`] on the CPU, which has no dispatches.
    pub fn profile(&mut self, request: &Request, inputs: Vec<Tensor>, options: ProfileOptions) -> Result<(Vec<Tensor>, Profile)> {
        match &mut self.0 {
            Backend::Gpu(runner) => runner.profile(request, &inputs, options),
            Backend::Cpu { .. } => {
                Err(Error::Request("the device 'cpu' runs the graph itself; it has no dispatches to time".into()))
            }
        }
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        match &self.0 {
            Backend::Cpu { graph, .. } => graph,
            Backend::Gpu(runner) => runner.graph(),
        }
    }

    /// The plan that was used last; none on the CPU, nor before the first run.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        match &self.0 {
            Backend::Cpu { .. } => None,
            Backend::Gpu(runner) => runner.plans().last(),
        }
    }

    /// Bytes of activations and states on the device.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Backend::Cpu { .. } => 0,
            Backend::Gpu(runner) => runner.bytes(),
        }
    }
}
