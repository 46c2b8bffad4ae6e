//! How long each dispatch of a plan takes on the device.
//!
//! Where the device writes timestamps, every dispatch becomes a pass of its own that begins and ends with one; else every
//! dispatch is submitted and waited for alone, and the time of an empty submit is taken off. Either way a dispatch's time is the
//! median of several runs. Ordinary runs are not touched: they record one pass and no timestamps.

use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::executable::Executable;
use super::launch::Launch;
use super::memory::{Buffer, Purpose};
use super::runner::{Given, Runner, placed};
use super::{Gpu, map};
use crate::error::{Error, Result};
use crate::graph::{Graph, interpreter};
use crate::kernel::Dispatch;
use crate::plan::{Plan, Request, StepWork};
use crate::shape::Symbols;
use crate::tensor::Tensor;

/// Dispatches that one query set has timestamps for: wgpu allows 4096 queries.
const DISPATCHES_OF_A_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// How times are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The device's clock at the beginning and the end of each dispatch.
    Timestamps,
    /// The host's clock around a submit of each dispatch alone, less that around an empty one.
    Submits,
}

/// How a profile is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileOptions {
    /// Runs behind each median, at least one, after one that warms up.
    pub runs: usize,
    /// How times are taken; by default by timestamps where the device has them.
    pub method: Option<Method>,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        ProfileOptions { runs: 5, method: None }
    }
}

/// The time of one dispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DispatchTime {
    /// Stem of the shader file.
    pub shader: String,
    /// The kernel with its providers, constants and tail.
    pub kernel: String,
    /// Workgroups in x, y, z.
    pub grid: [u32; 3],
    /// Seconds on the device.
    pub seconds: f64,
}

/// The dispatches of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    /// The op's name.
    pub op: String,
    /// The node's name, as the source model has it.
    pub node: String,
    /// Arithmetic operations ([`Plan::step_work`]).
    pub flops: u64,
    /// Bytes that must be moved, where that is known.
    pub bytes: Option<u64>,
    /// Its dispatches, in order.
    pub dispatches: Vec<DispatchTime>,
}

impl StepTime {
    /// Seconds of all its dispatches.
    pub fn seconds(&self) -> f64 {
        self.dispatches.iter().map(|d| d.seconds).sum()
    }
}

/// Where the time of one plan's run goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// What the graph's symbols stood for.
    pub symbols: Symbols,
    /// How times were taken.
    pub method: Method,
    /// Runs behind each median.
    pub runs: usize,
    /// Seconds of an ordinary run, from the inputs on the host to the results there.
    pub wall_seconds: f64,
    /// Bytes of the weights on the device, in the forms that this plan reads.
    pub weight_bytes: u64,
    /// Bytes of the weights that a run reads whole ([`Plan::weight_bytes_read`]).
    pub weight_bytes_read: u64,
    /// Bytes of activations.
    pub arena_bytes: u64,
    /// Bytes that activations would take if no two shared storage.
    pub unshared_bytes: u64,
    /// Bytes of states, such as key-value caches.
    pub state_bytes: u64,
    /// Its nodes, in the order in which they run.
    pub steps: Vec<StepTime>,
}

impl Profile {
    /// Seconds of all dispatches.
    pub fn seconds(&self) -> f64 {
        self.steps.iter().map(StepTime::seconds).sum()
    }

    /// The number of dispatches.
    pub fn dispatches(&self) -> usize {
        self.steps.iter().map(|step| step.dispatches.len()).sum()
    }
}

impl Gpu {
    /// Whether the device writes timestamps.
    pub fn has_timestamps(&self) -> bool {
        self.0.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) && self.0.queue.get_timestamp_period() > 0.0
    }

    fn method(&self, wanted: Option<Method>) -> Result<Method> {
        match wanted {
            Some(Method::Timestamps) if !self.has_timestamps() => {
                Err(Error::Request(format!("the device '{}' writes no timestamps", self.info().name)))
            }
            Some(method) => Ok(method),
            None if self.has_timestamps() => Ok(Method::Timestamps),
            None => Ok(Method::Submits),
        }
    }
}

impl Runner {
    /// Runs `request` several times and times every dispatch; also the results, which are those of [`Runner::run`].
    ///
    /// States are updated as often as it runs, so what a run writes must not depend on what the run before wrote, as is the
    /// case for key-value caches.
    ///
    /// # Errors
    /// Those of [`Runner::run`]; [`Error::Request`] for timestamps on a device that has none.
    pub fn profile(&mut self, request: &Request, inputs: &[Tensor], options: ProfileOptions) -> Result<(Vec<Tensor>, Profile)> {
        let method = self.gpu.method(options.method)?;
        let runs = options.runs.max(1);
        interpreter::check_inputs(&self.graph, &request.symbols, inputs.iter().map(|t| (t.dtype(), t.shape())))?;
        self.run(request, inputs)?;
        let mut walls = Vec::with_capacity(runs);
        let mut results = Vec::new();
        for _ in 0..runs {
            let began = Instant::now();
            results = self.run(request, inputs)?;
            walls.push(began.elapsed().as_secs_f64());
        }
        let state_bytes = self.storage.states.values().map(|state| state.size()).sum();
        let graph = self.graph.clone();
        let executable = self.executable(request)?;
        let (part, plan) = (executable.graph.clone(), executable.plan.clone());
        executable.begin(&placed(&graph, &plan, inputs.iter().map(Given::Host))?)?;
        let seconds = match method {
            Method::Timestamps => executable.by_timestamps(runs)?,
            Method::Submits => executable.by_submits(runs)?,
        };
        let profile = Profile {
            symbols: plan.symbols.clone(),
            method,
            runs,
            wall_seconds: median(&mut walls),
            weight_bytes: plan.weight_bytes(),
            weight_bytes_read: plan.weight_bytes_read(),
            arena_bytes: plan.arena_bytes,
            unshared_bytes: plan.unshared_bytes,
            state_bytes,
            steps: steps(&part, &plan, inputs, &seconds),
        };
        Ok((results, profile))
    }
}

/// The steps of a graph's plan with the seconds of its dispatches, in order, for these inputs.
fn steps(graph: &Graph, plan: &Plan, inputs: &[Tensor], seconds: &[f64]) -> Vec<StepTime> {
    let mut seconds = seconds.iter().copied();
    let known = |value: usize| {
        let input = graph.inputs.iter().position(|id| id.0 == value)?;
        inputs.get(input)?.as_u32().ok().map(<[u32]>::to_vec)
    };
    let step = |step: &crate::plan::Step| {
        let StepWork { flops, bytes } = plan.step_work(graph, step, &known);
        let time = |(d, seconds): (&Dispatch, f64)| DispatchTime {
            shader: d.kernel.shader.to_string(),
            kernel: d.kernel.to_string(),
            grid: d.grid,
            seconds,
        };
        let dispatches = step.dispatches.iter().zip(seconds.by_ref()).map(time).collect();
        StepTime { op: step.op.clone(), node: step.name.clone(), flops, bytes, dispatches }
    };
    plan.steps.iter().map(step).collect()
}

impl Executable {
    /// Seconds of each dispatch, by the device's clock.
    fn by_timestamps(&self, runs: usize) -> Result<Vec<f64>> {
        let launches: Vec<&Launch> = self.launches().collect();
        let clock = Clock::new(self.gpu(), launches.len())?;
        let mut times = vec![Vec::with_capacity(runs); launches.len()];
        // Timestamps of the first run may include the making of pages that the device makes when they are touched.
        for run in 0..=runs {
            for (first, part) in launches.chunks(DISPATCHES_OF_A_SET).enumerate() {
                let seconds = clock.time(part)?;
                if run > 0 {
                    let times = &mut times[first * DISPATCHES_OF_A_SET..];
                    times.iter_mut().zip(seconds).for_each(|(all, one)| all.push(one));
                }
            }
        }
        Ok(times.iter_mut().map(|all| median(all)).collect())
    }

    /// Seconds of each dispatch, by the host's clock.
    fn by_submits(&self, runs: usize) -> Result<Vec<f64>> {
        let gpu = self.gpu();
        let alone = |launch: Option<&Launch>| {
            let mut encoder = gpu.0.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            launch.into_iter().for_each(|launch| launch.record(&mut pass));
            drop(pass);
            let commands = encoder.finish();
            let began = Instant::now();
            let submission = gpu.submit(commands);
            gpu.wait_for(submission)?;
            Ok::<_, Error>(began.elapsed().as_secs_f64())
        };
        gpu.guard("timing dispatches one by one", || {
            let launches: Vec<&Launch> = self.launches().collect();
            let mut times = vec![Vec::with_capacity(runs); launches.len()];
            let mut empty = Vec::new();
            for _ in 0..runs {
                for (launch, times) in launches.iter().zip(&mut times) {
                    empty.push(alone(None)?);
                    times.push(alone(Some(launch))?);
                }
            }
            let empty = median(&mut empty);
            Ok(times.iter_mut().map(|all| (median(all) - empty).max(0.0)).collect())
        })
    }
}

/// Timestamps of up to [`DISPATCHES_OF_A_SET`] dispatches at a time.
struct Clock<'a> {
    gpu: &'a Gpu,
    queries: wgpu::QuerySet,
    resolved: Buffer,
    readback: Buffer,
}

impl<'a> Clock<'a> {
    fn new(gpu: &'a Gpu, dispatches: usize) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let count = 2 * dispatches.clamp(1, DISPATCHES_OF_A_SET) as u32;
        let bytes = u64::from(count) * 8;
        let descriptor = wgpu::QuerySetDescriptor { label: Some("profile"), ty: wgpu::QueryType::Timestamp, count };
        let queries = gpu.guard("making timestamps", || Ok(gpu.0.device.create_query_set(&descriptor)))?;
        let resolved = gpu.buffer(Purpose::Other, "timestamps", bytes, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?;
        let readback = gpu.buffer(Purpose::Staging, "timestamps on the host", bytes, Usage::COPY_DST | Usage::MAP_READ)?;
        Ok(Clock { gpu, queries, resolved, readback })
    }

    /// Runs the dispatches; the seconds of each.
    fn time(&self, launches: &[&Launch]) -> Result<Vec<f64>> {
        let Clock { gpu, queries, resolved, readback } = self;
        gpu.guard("timing dispatches", || {
            let mut encoder = gpu.0.device.create_command_encoder(&Default::default());
            for (i, launch) in launches.iter().enumerate() {
                let i = 2 * i as u32;
                let writes = wgpu::ComputePassTimestampWrites {
                    query_set: queries,
                    beginning_of_pass_write_index: Some(i),
                    end_of_pass_write_index: Some(i + 1),
                };
                let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) };
                launch.record(&mut encoder.begin_compute_pass(&descriptor));
            }
            let count = 2 * launches.len() as u32;
            encoder.resolve_query_set(queries, 0..count, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, readback, 0, u64::from(count) * 8);
            gpu.submit(encoder.finish());
            let mapped = map(readback, wgpu::MapMode::Read);
            gpu.wait()?;
            mapped.check(gpu, "reading timestamps")?;
            let period = f64::from(gpu.0.queue.get_timestamp_period()) * 1e-9;
            let view = readback.get_mapped_range(..).map_err(|e| gpu.error(format!("reading timestamps: {e}")))?;
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..count as usize * 8]);
            drop(view);
            readback.unmap();
            // A clock that was set back between the two says nothing.
            Ok(ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period).collect())
        })
    }
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
