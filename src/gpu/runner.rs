//! Runs one graph on one device for any shapes: keeps its plans ready, and its states and arena between runs.

use std::collections::HashMap;
use std::sync::Arc;

use super::device_tensor::{DeviceTensor, Located};
use super::executable::{Executable, Feed, Pace, Started, Storage};
use super::launch;
use super::memory::{Buffer, Purpose};
use super::pipelines::Refusal;
use super::weights::Progress;
use super::{Gpu, WeightStore};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, Origin, ValueId, interpreter};
use crate::plan::{self, Choices, Place, Plan, Request};
use crate::shape::Symbols;
use crate::tensor::Tensor;

/// Plans that are kept ready; the least recently used goes first.
const MOST_PLANS: usize = 32;

/// One graph on one device, with states of its own. Weights are shared between runners of a model.
pub struct Runner {
    pub(super) gpu: Gpu,
    pub(super) graph: Arc<Graph>,
    pub(super) weights: Arc<WeightStore>,
    pub(super) storage: Storage,
    ready: Vec<Executable>,
    pace: Pace,
    /// Runs that were started and not waited for, all of one request.
    under_way: Vec<(Request, Started)>,
}

impl Runner {
    /// Makes the states of `graph`, an optimised graph, on the device; `weights` must belong to the same graph.
    ///
    /// # Errors
    /// [`Error::Device`] when the device runs out of memory, [`Error::Unsupported`] when a state exceeds a binding.
    pub fn new(gpu: &Gpu, graph: Arc<Graph>, weights: Arc<WeightStore>) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let mut states = HashMap::new();
        for (i, value) in graph.values.iter().enumerate().filter(|(_, v)| matches!(v.origin, Origin::State)) {
            let shape = value.ty.shape.resolve(&Symbols::new())?;
            let bytes = value.ty.dtype.device_bytes(shape.iter().product());
            let limit = gpu.info().caps.max_binding;
            if bytes > limit {
                let what = format!(
                    "the state '{}' {} takes {bytes} bytes, a binding of this device holds {limit}",
                    value.name, value.ty
                );
                return Err(Error::Unsupported(what));
            }
            states.insert(i, gpu.buffer(Purpose::States, &format!("the state '{}'", value.name), bytes, usage)?);
        }
        let arena = arena(gpu, 0)?;
        let pace = Pace::guess(gpu.info().caps.width);
        Ok(Runner {
            gpu: gpu.clone(),
            graph,
            weights,
            storage: Storage { arena, states },
            ready: Vec::new(),
            pace,
            under_way: Vec::new(),
        })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The plans that are ready, the one used last at the end.
    pub fn plans(&self) -> impl Iterator<Item = &Arc<Plan>> {
        self.ready.iter().map(|executable| &executable.plan)
    }

    /// Bytes of the arena and of the states.
    pub fn bytes(&self) -> u64 {
        self.storage.arena.size() + self.storage.states.values().map(|state| state.size()).sum::<u64>()
    }

    /// Sets what the state with that value index holds.
    ///
    /// # Errors
    /// [`Error::Shape`] when the tensor does not fit; [`Error::Device`] when the device fails.
    pub(super) fn set_state(&mut self, state: usize, tensor: &Tensor) -> Result<()> {
        self.settle()?;
        let mut bytes = tensor.to_device()?.into_owned();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        match self.storage.states.get(&state) {
            Some(buffer) if buffer.size() >= bytes.len() as u64 => self.gpu.write("setting a state", buffer, 0, &bytes),
            _ => Err(Error::shape("state", format!("value {state} holds no tensor {:?}", tensor.shape()))),
        }
    }

    /// Makes the plan for `request` ready: compiles it, uploads weights that are not there yet, makes pipelines.
    ///
    /// # Errors
    /// Those of [`plan::compile`] and [`Error::Device`].
    pub fn prepare(&mut self, request: &Request, progress: Progress<'_>) -> Result<Arc<Plan>> {
        self.settle()?;
        let at = self.position(request, progress)?;
        Ok(self.ready[at].plan.clone())
    }

    /// Starts a run and does not wait for it; [`Runner::finish`] yields the results of runs in the order in which they were started.
    /// At most two may be under way. With `chained`, an input and an output, that input is what the run started before leaves as that
    /// output, and what `inputs` has in its place is not looked at.
    ///
    /// # Errors
    /// As [`Runner::run`]; [`Error::Invalid`] for a third run, another request than that under way, or a chain without one.
    pub fn start(&mut self, request: &Request, inputs: &[Tensor], chained: Option<(usize, usize)>) -> Result<()> {
        let fits = match &self.under_way[..] {
            [] => chained.is_none(),
            [one] => one.0 == *request,
            _ => false,
        };
        if !fits {
            return Err(Error::invalid("runner", "a run that cannot follow on those under way"));
        }
        let at = self.ready_for(request, inputs.iter().map(|t| (t.dtype(), t.shape())))?;
        let executable = &mut self.ready[at];
        let plan = executable.plan.clone();
        let mut feeds = placed(&self.graph, &plan, inputs.iter().map(Given::Host))?;
        if let Some((input, output)) = chained {
            feeds[input].1 = Feed::Output(output);
        }
        let transfer = self.under_way.first().map_or(0, |(_, before)| 1 - before.transfer());
        let started = executable.start(transfer, &feeds, None, &self.pace)?;
        self.under_way.push((request.clone(), started));
        Ok(())
    }

    /// Waits for the run that was started first.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails; [`Error::Invalid`] when none is under way.
    pub fn finish(&mut self) -> Result<Vec<Tensor>> {
        if self.under_way.is_empty() {
            return Err(Error::invalid("runner", "no run is under way"));
        }
        let (request, started) = self.under_way.remove(0);
        let at = self.position(&request, &mut |_, _| {})?;
        let executable = &self.ready[at];
        tensors(&executable.plan, executable.finish(started, None)?)
    }

    /// Waits for runs under way, whose results nobody wants any more.
    fn settle(&mut self) -> Result<()> {
        while !self.under_way.is_empty() {
            self.finish()?;
        }
        Ok(())
    }

    /// Runs once: all `inputs` in the order of the graph, the results that are asked for.
    ///
    /// # Errors
    /// [`Error::Shape`] when an input does not fit; those of [`Runner::prepare`].
    pub fn run(&mut self, request: &Request, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.settle()?;
        let at = self.ready_for(request, inputs.iter().map(|t| (t.dtype(), t.shape())))?;
        let executable = &mut self.ready[at];
        let plan = executable.plan.clone();
        let feeds = placed(&self.graph, &plan, inputs.iter().map(Given::Host))?;
        let started = executable.start(0, &feeds, None, &self.pace)?;
        tensors(&plan, executable.finish(started, Some(&mut self.pace))?)
    }

    /// Like [`Runner::run`], with inputs that may be on this device already, and results that stay there.
    ///
    /// # Errors
    /// As [`Runner::run`]; [`Error::Request`] for a tensor of another device.
    pub fn run_on_device(&mut self, request: &Request, inputs: &[Located]) -> Result<Vec<DeviceTensor>> {
        self.settle()?;
        let at = self.ready_for(request, inputs.iter().map(|t| (t.dtype(), t.shape())))?;
        let executable = &mut self.ready[at];
        let plan = executable.plan.clone();
        let given = given(&self.gpu, inputs)?;
        let feeds = placed(&self.graph, &plan, given.into_iter())?;
        let keep = |i: &usize| DeviceTensor::uninitialised(&self.gpu, plan.values[*i].dtype, &plan.values[*i].shape);
        let kept = plan.outputs.iter().map(keep).collect::<Result<Vec<_>>>()?;
        let started = executable.start(0, &feeds, Some(&kept), &self.pace)?;
        executable.finish(started, Some(&mut self.pace))?;
        Ok(kept)
    }

    /// Runs once for each of `inputs`: while the device computes one, the host brings the next and takes the results of the one
    /// before, which go to `each` in order.
    ///
    /// # Errors
    /// As [`Runner::run_on_device`]; the first error of `inputs` or `each` ends it.
    pub fn run_all(
        &mut self,
        request: &Request,
        inputs: &mut dyn Iterator<Item = Result<Vec<Located>>>,
        each: &mut dyn FnMut(Vec<Tensor>) -> Result<()>,
    ) -> Result<()> {
        self.settle()?;
        let mut under_way: Option<Started> = None;
        let mut result = Ok(());
        for (i, inputs) in inputs.enumerate() {
            result = inputs.and_then(|inputs| {
                let at = self.ready_for(request, inputs.iter().map(|t| (t.dtype(), t.shape())))?;
                let executable = &mut self.ready[at];
                let plan = executable.plan.clone();
                let given = given(&self.gpu, &inputs)?;
                let feeds = placed(&self.graph, &plan, given.into_iter())?;
                let next = executable.start(i % 2, &feeds, None, &self.pace)?;
                match under_way.replace(next) {
                    Some(before) => each(tensors(&plan, executable.finish(before, None)?)?),
                    None => Ok(()),
                }
            });
            if result.is_err() {
                break;
            }
        }
        // The last run is waited for even after an error: its buffers must be ready for the next.
        if let Some(last) = under_way {
            let at = self.position(request, &mut |_, _| {})?;
            let executable = &self.ready[at];
            let results = executable.finish(last, None);
            result = result.and_then(|()| each(tensors(&executable.plan, results?)?));
        }
        result
    }

    /// The place of the plan for `request` once its inputs are known to fit.
    fn ready_for<'a>(&mut self, request: &Request, inputs: impl ExactSizeIterator<Item = (DType, &'a [usize])>) -> Result<usize> {
        interpreter::check_inputs(&self.graph, &request.symbols, inputs)?;
        self.position(request, &mut |_, _| {})
    }

    pub(super) fn executable(&mut self, request: &Request) -> Result<&mut Executable> {
        self.settle()?;
        let at = self.position(request, &mut |_, _| {})?;
        Ok(&mut self.ready[at])
    }

    /// The place of the plan for `request` among those that are ready, always the last.
    fn position(&mut self, request: &Request, progress: Progress<'_>) -> Result<usize> {
        if let Some(at) = self.ready.iter().position(|e| e.request == *request) {
            let found = self.ready.remove(at);
            self.ready.push(found);
            return Ok(self.ready.len() - 1);
        }
        let restrict = || plan::passes::restrict(&self.graph, &request.outputs);
        let graph = Arc::new(self.gpu.timed(|p| &mut p.planning, restrict)?);
        let plan = Arc::new(self.plan(&graph, request, progress)?);
        if plan.arena_bytes > self.storage.arena.size() {
            // Bind groups hold the arena: those of the plans made so far would keep the old one alive. It goes before the new one
            // comes.
            self.ready.clear();
            self.storage.arena = arena(&self.gpu, 0)?;
            self.storage.arena = arena(&self.gpu, plan.arena_bytes)?;
        }
        if self.ready.len() >= MOST_PLANS {
            self.ready.remove(0);
        }
        let make = || Executable::new(&self.gpu, request.clone(), graph, plan, &self.weights, &self.storage);
        self.ready.push(self.gpu.timed(|p| &mut p.binding, make)?);
        self.gpu.keep_pipelines();
        Ok(self.ready.len() - 1)
    }

    /// A plan whose weights are on the device and whose kernels are known to be right and fast, as far as there was time to find out.
    fn plan(&self, graph: &Graph, request: &Request, progress: Progress<'_>) -> Result<Plan> {
        let gpu = &self.gpu;
        let mut plan = self.compiled(graph, request, progress)?;
        let Some(record) = gpu.record() else { return Ok(plan) };
        // A kernel that takes the place of a struck one may have to be struck too; each does once.
        while gpu.timed(|p| &mut p.proving, || gpu.prove(record, graph, &plan, &self.weights))? {
            plan = self.compiled(graph, request, progress)?;
        }
        if gpu.timed(|p| &mut p.tuning, || gpu.tune(record, graph, &plan, &self.weights))? {
            plan = self.compiled(graph, request, progress)?;
        }
        Ok(plan)
    }

    /// A plan whose weights are on the device and whose pipelines are made. Kernels that the driver refuses to compile are struck.
    fn compiled(&self, graph: &Graph, request: &Request, progress: Progress<'_>) -> Result<Plan> {
        loop {
            let choices = self.gpu.record().map_or_else(Choices::default, |record| record.choices());
            let compile = || plan::compile_with(graph, &request.symbols, &self.gpu.info().caps, &choices);
            let plan = self.gpu.timed(|p| &mut p.planning, compile)?;
            match (&self.load(graph, &plan, progress)?[..], self.gpu.record()) {
                ([], _) => return Ok(plan),
                ([refusal, ..], None) => return Err(self.gpu.refused(refusal)),
                (refusals, Some(record)) => record.strike_refused(refusals),
            }
        }
    }

    /// Uploads the weights of a plan that are not there yet, while its pipelines are made. Returns the kernels that the driver refuses
    /// to compile.
    fn load(&self, graph: &Graph, plan: &Plan, progress: Progress<'_>) -> Result<Vec<Refusal>> {
        let keys: Vec<_> = plan.dispatches().map(launch::key).collect();
        let gpu = &self.gpu;
        std::thread::scope(|scope| {
            let pipelines = scope.spawn(|| gpu.compile(&keys));
            gpu.timed(|p| &mut p.upload, || self.weights.ensure(graph, plan, progress))?;
            gpu.timed(|p| &mut p.pipelines, || pipelines.join())
                .map_err(|_| Error::invalid("pipelines", "the thread that makes them panicked"))?
        })
    }
}

/// A buffer for activations.
fn arena(gpu: &Gpu, bytes: u64) -> Result<Buffer> {
    gpu.buffer(Purpose::Arena, "activations", bytes, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC)
}

/// An input where it is.
pub(super) enum Given<'a> {
    Host(&'a Tensor),
    Device(&'a DeviceTensor),
}

fn given<'a>(gpu: &Gpu, inputs: &'a [Located]) -> Result<Vec<Given<'a>>> {
    let given = |input: &'a Located| match input {
        Located::Host(t) => Ok(Given::Host(t.as_ref())),
        Located::Device(t) if t.is_on(gpu) => Ok(Given::Device(t)),
        Located::Device(t) => Err(Error::Request(format!("{t:?} is not on the device '{}'", gpu.info().name))),
    };
    inputs.iter().map(given).collect()
}

/// The offset of each input, and what is brought there.
///
/// # Errors
/// [`Error::Unsupported`] naming the input whose integers do not fit the device.
pub(super) fn placed<'a>(graph: &Graph, plan: &Plan, inputs: impl Iterator<Item = Given<'a>>) -> Result<Vec<(u64, Feed<'a>)>> {
    let offset = |id: &ValueId| match plan.values[id.0].place {
        Place::Input(offset) => offset,
        _ => 0,
    };
    let place = |(id, given): (&ValueId, Given<'a>)| {
        let feed = match given {
            Given::Host(tensor) => Feed::Bytes(
                tensor.to_device().map_err(|e| Error::Unsupported(format!("input '{}': {e}", graph.value(*id).name)))?,
            ),
            Given::Device(tensor) => Feed::Tensor(tensor),
        };
        Ok((offset(id), feed))
    };
    graph.inputs.iter().zip(inputs).map(place).collect()
}

/// The outputs of a plan from their bytes.
fn tensors(plan: &Plan, results: Vec<Vec<u8>>) -> Result<Vec<Tensor>> {
    let tensor = |(i, bytes): (&usize, Vec<u8>)| Tensor::from_device(plan.values[*i].dtype, &plan.values[*i].shape, &bytes);
    plan.outputs.iter().zip(results).map(tensor).collect()
}
