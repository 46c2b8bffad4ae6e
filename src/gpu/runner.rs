//! Runs one graph on one device for any shapes: keeps its plans ready, and its states and arena between runs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::executable::{Executable, Pace, Storage};
use super::weights::Progress;
use super::{Gpu, WeightStore};
use crate::error::{Error, Result};
use crate::graph::{Graph, Origin, ValueId, interpreter};
use crate::plan::{self, Place, Plan, Request};
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
            states.insert(i, gpu.buffer(&format!("the state '{}'", value.name), bytes, usage)?);
        }
        let arena = gpu.buffer("activations", 4, usage)?;
        let pace = Pace::guess(gpu.info().caps.width);
        Ok(Runner { gpu: gpu.clone(), graph, weights, storage: Storage { arena, states }, ready: Vec::new(), pace })
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
        self.storage.arena.size() + self.storage.states.values().map(wgpu::Buffer::size).sum::<u64>()
    }

    /// Makes the plan for `request` ready: compiles it, uploads weights that are not there yet, makes pipelines.
    ///
    /// # Errors
    /// Those of [`plan::compile`] and [`Error::Device`].
    pub fn prepare(&mut self, request: &Request, progress: Progress<'_>) -> Result<Arc<Plan>> {
        let at = self.position(request, progress)?;
        Ok(self.ready[at].plan.clone())
    }

    /// Runs once: all `inputs` in the order of the graph, the results that are asked for.
    ///
    /// # Errors
    /// [`Error::Shape`] when an input does not fit; those of [`Runner::prepare`].
    pub fn run(&mut self, request: &Request, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        interpreter::check_inputs(&self.graph, &request.symbols, inputs)?;
        let at = self.position(request, &mut |_, _| {})?;
        let executable = &self.ready[at];
        let plan = executable.plan.clone();
        let results = executable.run(&placed(&self.graph, &plan, inputs)?, &mut self.pace)?;
        let tensor = |(i, bytes): (&usize, Vec<u8>)| Tensor::from_device(plan.values[*i].dtype, &plan.values[*i].shape, &bytes);
        plan.outputs.iter().zip(results).map(tensor).collect()
    }

    pub(super) fn executable(&mut self, request: &Request) -> Result<&mut Executable> {
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
        let graph = Arc::new(plan::passes::restrict(&self.graph, &request.outputs)?);
        let plan = Arc::new(plan::compile(&graph, &request.symbols, &self.gpu.info().caps)?);
        self.weights.ensure(&graph, &plan, progress)?;
        if plan.arena_bytes > self.storage.arena.size() {
            // Bind groups hold the arena: those of the plans made so far would keep the old one alive.
            self.ready.clear();
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
            self.storage.arena = self.gpu.buffer("activations", plan.arena_bytes, usage)?;
        }
        if self.ready.len() >= MOST_PLANS {
            self.ready.remove(0);
        }
        self.ready.push(Executable::new(&self.gpu, request.clone(), graph, plan, &self.weights, &self.storage)?);
        Ok(self.ready.len() - 1)
    }
}

/// The offset and bytes of each input.
///
/// # Errors
/// [`Error::Unsupported`] naming the input whose integers do not fit the device.
pub(super) fn placed<'a>(graph: &Graph, plan: &Plan, inputs: &'a [Tensor]) -> Result<Vec<(u64, Cow<'a, [u8]>)>> {
    let offset = |id: &ValueId| match plan.values[id.0].place {
        Place::Input(offset) => offset,
        _ => 0,
    };
    let place = |(id, tensor): (&ValueId, &'a Tensor)| {
        let bytes = tensor.to_device().map_err(|e| Error::Unsupported(format!("input '{}': {e}", graph.value(*id).name)))?;
        Ok((offset(id), bytes))
    };
    graph.inputs.iter().zip(inputs).map(place).collect()
}
