//! A plan made ready for a device: pipelines, bind groups, parameters and transfer buffers exist once, and a run only
//! records, submits and waits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use web_time::{Duration, Instant};

use super::launch::{self, Launch};
use super::memory::{Buffer, Purpose};
use super::weights::Slice;
use super::{DeviceTensor, Gpu, Mapping, WeightStore, map};
use crate::error::{Error, Result};
use crate::graph::{Graph, Origin};
use crate::kernel::caps::Width;
use crate::kernel::{Dispatch, Resource};
use crate::plan::{Place, Plan, Request};

/// GPU time that one submit should stay below, so that no watchdog fires and a desktop's own drawing goes on.
const SUBMIT_LIMIT: Duration = Duration::from_millis(500);

/// Seconds per arithmetic operation, as the last run of any plan showed.
pub struct Pace(f64);

impl Pace {
    /// A cautious guess before the first run.
    pub fn guess(width: Width) -> Self {
        Pace(match width {
            Width::Wide => 1.0 / 100e9,
            Width::Narrow => 1.0 / 10e9,
        })
    }
}

/// Where a plan's values lie outside the weights.
pub struct Storage {
    /// All activations.
    pub arena: Buffer,
    /// States by value index.
    pub states: HashMap<usize, Buffer>,
}

/// The buffers by which one run's inputs come and its results go.
struct Transfer {
    upload: Buffer,
    readback: Buffer,
}

/// An input of a run: bytes of the host, a tensor that is on the device already, or what the run before left as that output.
pub(super) enum Feed<'a> {
    Bytes(Cow<'a, [u8]>),
    Tensor(&'a DeviceTensor),
    Output(usize),
}

/// A run that was submitted.
pub struct Started {
    transfer: usize,
    submission: wgpu::SubmissionIndex,
    read: Mapping,
    write: Mapping,
    at: Instant,
}

impl Started {
    /// The number of its transfer buffers.
    pub(super) fn transfer(&self) -> usize {
        self.transfer
    }
}

/// A plan made ready.
pub struct Executable {
    gpu: Gpu,
    /// What it was asked for.
    pub request: Request,
    /// The part of the graph that it computes.
    pub graph: Arc<Graph>,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The launches of each step.
    steps: Vec<Vec<Launch>>,
    inputs: Buffer,
    /// Two, so that the next run's inputs are written while this one runs; the second is made when it is wanted.
    transfers: Vec<Transfer>,
    /// `(buffer, offset, bytes)` of each output.
    outputs: Vec<(Buffer, u64, u64)>,
}

impl Executable {
    /// Makes everything that runs of `plan` need.
    pub fn new(
        gpu: &Gpu,
        request: Request,
        graph: Arc<Graph>,
        plan: Arc<Plan>,
        weights: &WeightStore,
        storage: &Storage,
    ) -> Result<Self> {
        gpu.guard("preparing a plan", || Self::make(gpu, request, graph, plan, weights, storage))
    }

    fn make(
        gpu: &Gpu,
        request: Request,
        graph: Arc<Graph>,
        plan: Arc<Plan>,
        weights: &WeightStore,
        storage: &Storage,
    ) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let inputs =
            gpu.buffer(Purpose::Staging, "inputs", plan.input_bytes, Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC)?;
        let place = |i: usize| place(gpu, &graph, &plan, i, weights, storage, &inputs);
        let outputs: Vec<Slice> = plan.outputs.iter().map(|i| place(*i)).collect::<Result<_>>()?;
        let resource = |r: Resource| match r {
            Resource::Value(i) => place(i),
            Resource::Plane { value, chunk, plane } => match &graph.values[value].origin {
                Origin::Weight(weight) => weights.plane(weight, chunk, plane),
                _ => None,
            }
            .ok_or_else(|| Error::invalid("executable", "a plane is missing")),
        };
        let dispatches: Vec<&Dispatch> = plan.dispatches().collect();
        let mut launches = launch::launches(gpu, &dispatches, resource)?.into_iter();
        let steps = plan.steps.iter().map(|step| launches.by_ref().take(step.dispatches.len()).collect()).collect();
        let outputs = outputs.into_iter().map(|o| (o.buffer, o.offset, o.bytes)).collect();
        let mut made = Executable { gpu: gpu.clone(), request, graph, plan, steps, inputs, transfers: Vec::new(), outputs };
        made.transfer(0)?;
        Ok(made)
    }

    /// Makes transfer buffers up to number `i`, ready to be written.
    fn transfer(&mut self, i: usize) -> Result<()> {
        use wgpu::BufferUsages as Usage;
        while self.transfers.len() <= i {
            let upload =
                self.gpu.buffer(Purpose::Staging, "an upload", self.plan.input_bytes, Usage::MAP_WRITE | Usage::COPY_SRC)?;
            let bytes = self.outputs.iter().map(|(.., bytes)| bytes.next_multiple_of(4)).sum();
            let readback = self.gpu.buffer(Purpose::Staging, "results", bytes, Usage::MAP_READ | Usage::COPY_DST)?;
            let mapped = map(&upload, wgpu::MapMode::Write);
            self.gpu.flush();
            self.gpu.wait()?;
            mapped.check(&self.gpu, "mapping the upload buffer")?;
            self.transfers.push(Transfer { upload, readback });
        }
        Ok(())
    }

    /// Submits a run with the transfer buffers of number `transfer`, whose last run must be finished: `inputs` with their offsets.
    /// Results are copied to `kept` where that is given, else they wait for [`Executable::finish`].
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails or is lost.
    pub(super) fn start(
        &mut self,
        transfer: usize,
        inputs: &[(u64, Feed)],
        kept: Option<&[DeviceTensor]>,
        pace: &Pace,
    ) -> Result<Started> {
        let gpu = self.gpu.clone();
        gpu.guard("running a plan", || {
            let at = Instant::now();
            self.transfer(transfer)?;
            self.write_inputs(transfer, inputs)?;
            let Transfer { upload, readback } = &self.transfers[transfer];
            let slices = self.slices(pace);
            let mut submission = None;
            for (i, range) in slices.iter().enumerate() {
                let mut encoder = gpu.0.device.create_command_encoder(&Default::default());
                if i == 0 {
                    self.bring_inputs(&mut encoder, upload, inputs);
                }
                self.record(&mut encoder, range.clone());
                if i + 1 == slices.len() {
                    let mut at = 0;
                    for (i, (buffer, offset, bytes)) in self.outputs.iter().enumerate() {
                        let bytes = bytes.next_multiple_of(4);
                        match kept.and_then(|k| k.get(i)) {
                            Some(tensor) => encoder.copy_buffer_to_buffer(buffer, *offset, tensor.buffer(), 0, bytes),
                            None => encoder.copy_buffer_to_buffer(buffer, *offset, readback, at, bytes),
                        }
                        at += bytes;
                    }
                }
                submission = Some(gpu.submit(encoder.finish()));
            }
            let submission = submission.ok_or_else(|| Error::invalid("executable", "nothing was submitted"))?;
            let read = map(readback, wgpu::MapMode::Read);
            let write = map(upload, wgpu::MapMode::Write);
            Ok(Started { transfer, submission, read, write, at })
        })
    }

    /// Waits for a run; the bytes of each output. `alone` says that no other run was under way, so that its time is its own and
    /// sets the pace.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails or is lost.
    pub(super) fn finish(&self, run: Started, pace: Option<&mut Pace>) -> Result<Vec<Vec<u8>>> {
        let gpu = self.gpu.clone();
        gpu.guard("running a plan", || {
            gpu.wait_for(run.submission)?;
            run.read.check(&gpu, "reading results")?;
            run.write.check(&gpu, "mapping the upload buffer")?;
            let readback = &self.transfers[run.transfer].readback;
            let results = self.results(readback);
            readback.unmap();
            if let Some(pace) = pace {
                let flops: u64 = self.plan.steps.iter().map(|s| s.flops).sum();
                *pace = Pace(run.at.elapsed().as_secs_f64() / flops.max(1) as f64);
            }
            results
        })
    }

    /// Copies what the host wrote, and tensors that are on the device, to where the plan reads its inputs.
    fn bring_inputs(&self, encoder: &mut wgpu::CommandEncoder, upload: &wgpu::Buffer, inputs: &[(u64, Feed)]) {
        if inputs.iter().all(|(_, feed)| matches!(feed, Feed::Bytes(_))) {
            encoder.copy_buffer_to_buffer(upload, 0, &self.inputs, 0, self.inputs.size());
            return;
        }
        for (offset, feed) in inputs {
            match feed {
                Feed::Bytes(bytes) => {
                    let bytes = (bytes.len() as u64).next_multiple_of(4);
                    encoder.copy_buffer_to_buffer(upload, *offset, &self.inputs, *offset, bytes);
                }
                Feed::Tensor(t) => {
                    encoder.copy_buffer_to_buffer(t.buffer(), 0, &self.inputs, *offset, t.bytes().next_multiple_of(4));
                }
                Feed::Output(i) => {
                    let (buffer, from, bytes) = &self.outputs[*i];
                    encoder.copy_buffer_to_buffer(buffer, *from, &self.inputs, *offset, bytes.next_multiple_of(4));
                }
            }
        }
    }

    /// Uploads the inputs and runs nothing yet; with [`Executable::run_step`] for a run step by step.
    pub(super) fn begin(&mut self, inputs: &[(u64, Feed)]) -> Result<()> {
        self.gpu.guard("uploading inputs", || {
            self.write_inputs(0, inputs)?;
            let upload = &self.transfers[0].upload;
            let mut encoder = self.gpu.0.device.create_command_encoder(&Default::default());
            self.bring_inputs(&mut encoder, upload, inputs);
            self.gpu.submit(encoder.finish());
            let write = map(upload, wgpu::MapMode::Write);
            self.gpu.wait()?;
            write.check(&self.gpu, "mapping the upload buffer")
        })
    }

    /// Runs one step and waits for it.
    pub(super) fn run_step(&self, step: usize) -> Result<()> {
        self.gpu.guard("running a step", || {
            let mut encoder = self.gpu.0.device.create_command_encoder(&Default::default());
            self.record(&mut encoder, step..step + 1);
            self.gpu.submit(encoder.finish());
            self.gpu.wait()
        })
    }

    /// The device.
    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// All launches, in order.
    pub(super) fn launches(&self) -> impl Iterator<Item = &Launch> {
        self.steps.iter().flatten()
    }

    /// Seconds of `repetitions` of all steps on what the last run left behind, in one submit.
    pub(super) fn time(&self, repetitions: usize) -> Result<f64> {
        self.gpu.guard("timing a plan", || {
            let mut encoder = self.gpu.0.device.create_command_encoder(&Default::default());
            (0..repetitions).for_each(|_| self.record(&mut encoder, 0..self.steps.len()));
            let commands = encoder.finish();
            let started = Instant::now();
            self.gpu.submit(commands);
            self.gpu.wait()?;
            Ok(started.elapsed().as_secs_f64())
        })
    }

    /// The inputs' buffer.
    pub(super) fn inputs(&self) -> &Buffer {
        &self.inputs
    }

    fn write_inputs(&self, transfer: usize, inputs: &[(u64, Feed)]) -> Result<()> {
        let upload = &self.transfers[transfer].upload;
        {
            let view = upload.get_mapped_range_mut(..);
            let mut view = view.map_err(|e| self.gpu.error(format!("writing inputs: {e}")))?;
            for (offset, feed) in inputs {
                if let Feed::Bytes(bytes) = feed {
                    let at = *offset as usize;
                    view.slice(at..at + bytes.len()).copy_from_slice(bytes);
                }
            }
        }
        upload.unmap();
        Ok(())
    }

    fn results(&self, readback: &wgpu::Buffer) -> Result<Vec<Vec<u8>>> {
        let view = readback.get_mapped_range(..).map_err(|e| self.gpu.error(format!("reading results: {e}")))?;
        let mut at = 0;
        let one = |(_, _, bytes): &(Buffer, u64, u64)| {
            let from = at;
            at += bytes.next_multiple_of(4) as usize;
            view[from..from + *bytes as usize].to_vec()
        };
        Ok(self.outputs.iter().map(one).collect())
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, steps: std::ops::Range<usize>) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for launch in self.steps[steps].iter().flatten() {
            launch.record(&mut pass);
        }
    }

    /// Cuts the steps into runs that should each stay below [`SUBMIT_LIMIT`] at that pace. A single step is never cut.
    fn slices(&self, pace: &Pace) -> Vec<std::ops::Range<usize>> {
        let limit = SUBMIT_LIMIT.as_secs_f64();
        let (mut slices, mut start, mut time) = (Vec::new(), 0, 0.0);
        for (i, step) in self.plan.steps.iter().enumerate() {
            time += step.flops as f64 * pace.0;
            if time > limit && i > start {
                slices.push(start..i);
                (start, time) = (i, 0.0);
            }
        }
        slices.push(start..self.plan.steps.len());
        slices
    }
}

/// Where a value that is bound as a whole lies.
pub(super) fn place(
    gpu: &Gpu,
    graph: &Graph,
    plan: &Plan,
    i: usize,
    weights: &WeightStore,
    storage: &Storage,
    inputs: &Buffer,
) -> Result<Slice> {
    let value = &plan.values[i];
    let bytes = value.bytes();
    match &value.place {
        Place::Input(offset) => Ok(Slice { buffer: inputs.clone(), offset: *offset, bytes }),
        Place::Arena(offset) => Ok(Slice { buffer: storage.arena.clone(), offset: *offset, bytes }),
        Place::State(state) => {
            let buffer = storage.states.get(state).ok_or_else(|| gpu.error(format!("the state '{}' is missing", value.name)))?;
            Ok(Slice { buffer: buffer.clone(), offset: 0, bytes })
        }
        Place::Weight { .. } => match &graph.values[i].origin {
            Origin::Weight(weight) => weights.dense(weight),
            _ => None,
        }
        .ok_or_else(|| gpu.error(format!("the weight '{}' is missing", value.name))),
        Place::Unused => Err(Error::invalid("plan", format!("'{}' is bound but has no place", value.name))),
    }
}
