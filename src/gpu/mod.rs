//! The only place that speaks wgpu: it opens devices, executes plans, and finds out which of the kernels that lowering offers are right and
//! fastest.

pub mod budget;
pub mod check;
mod device_tensor;
mod devices;
mod executable;
mod launch;
mod memory;
mod pipeline_cache;
mod pipelines;
mod preparation;
pub mod profile;
mod proving;
pub mod record;
mod runner;
mod series;
mod trial;
mod weights;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub use budget::{Allowance, Budget};
pub use device_tensor::{DeviceTensor, Located};
pub use devices::{DeviceChoice, DeviceInfo, devices};
pub use memory::{Memory, MemoryUse};
pub use preparation::Preparation;
pub use proving::Verdict;
pub use record::Record;
pub use runner::Runner;
pub use series::Series;
pub use trial::{Fill, Trial};
pub use weights::{Progress, WeightStore};

use devices::{adapters, choose, cooperative, describe, described};
use memory::{Buffer, Purpose};

use crate::error::{Error, Result};
use crate::kernel::{Caps, Kernel};
use crate::plan::Choices;

/// How many objects a device was asked for since it was opened: what a steady state must not add to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Buffers created.
    pub buffers: u64,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Compute pipelines created.
    pub pipelines: u64,
    /// Command buffers submitted.
    pub submits: u64,
}

#[derive(Default)]
struct AtomicCounters {
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    pipelines: AtomicU64,
    submits: AtomicU64,
}

/// An open device with its pipelines. Cloning shares it.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: DeviceInfo,
    pipelines: Arc<pipelines::Pipelines>,
    counters: AtomicCounters,
    memory: Arc<memory::Account>,
    preparation: preparation::Clock,
    record: Option<Arc<Record>>,
    /// What the device was opened from, where that was done here.
    adapter: Option<wgpu::Adapter>,
}

impl Gpu {
    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::NoDevice`] saying what was looked for, what was found and what to do; [`Error::Device`] when the
    /// driver refuses to open it.
    pub fn open(choice: &DeviceChoice) -> Result<Self> {
        Self::open_with(choice, false)
    }

    /// Opens a device with what wgpu calls experimental and kernels exist for: the matrices that its subgroups multiply together
    /// ([`Caps::cooperative`]). No software device has these, so that this crate's tests run such kernels with the functions for
    /// matrices written out: check a model on the device first.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open_experimental(choice: &DeviceChoice) -> Result<Self> {
        Self::open_with(choice, true)
    }

    fn open_with(choice: &DeviceChoice, experimental: bool) -> Result<Self> {
        let adapters = adapters();
        let found = described(&adapters);
        let mut chosen = choose(choice, &found)?;
        let adapter = &adapters[chosen.index];
        let mut features = devices::WANTED;
        let mut token = wgpu::ExperimentalFeatures::disabled();
        if experimental && adapter.features().contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            chosen.caps.cooperative = cooperative(&adapter.cooperative_matrix_properties());
            features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            // SAFETY: the token accepts that wgpu's checks of experimental features may be incomplete. Of these only cooperative
            // matrices are asked for, where the caller did, and used by kernels of this crate in sizes that the adapter lists.
            #[allow(unsafe_code)]
            let enabled = unsafe { wgpu::ExperimentalFeatures::enabled() };
            token = enabled;
        }
        let (device, queue) = devices::request(adapter, &chosen, features, token)?;
        Ok(Gpu::new(device, queue, chosen, Some(adapter.clone())))
    }

    /// The same device opened once more, to compile and run kernels beside this one's, for those who try kernel after kernel. Only
    /// software drivers for Vulkan have use for it: these compile one kernel after another in a device's queue, when it first runs.
    /// What is experimental, and a record, stay behind; a planted fault does not.
    #[cfg(feature = "gate")]
    pub(crate) fn again(&self) -> Result<Option<Self>> {
        let Inner { adapter, info, pipelines, .. } = &*self.0;
        let Some(adapter) = adapter.as_ref().filter(|_| info.kind == "cpu" && info.backend == "vulkan") else { return Ok(None) };
        let (device, queue) = devices::request(adapter, info, devices::WANTED, wgpu::ExperimentalFeatures::disabled())?;
        let gpu = Gpu::new(device, queue, info.clone(), Some(adapter.clone()));
        Ok(Some(gpu.changed(|inner| inner.pipelines = Arc::new(pipelines.afresh()))))
    }

    /// Runs on a device that the host application owns. The device should have been requested with the adapter's
    /// limits, and with `wgpu::Features::SUBGROUP`, `SHADER_F16` and `SHADER_INT64` where the adapter has them; what it lacks is
    /// not used.
    ///
    /// # Errors
    /// [`Error::NoDevice`] when its limits are below what plain kernels need.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let info = describe(0, &device.adapter_info(), &device.limits(), device.features());
        match &info.refused {
            Some(reason) => Err(Error::NoDevice(format!("the host's device '{}' cannot run plans: {reason}", info.name))),
            None => Ok(Gpu::new(device, queue, info, None)),
        }
    }

    fn new(device: wgpu::Device, queue: wgpu::Queue, info: DeviceInfo, adapter: Option<wgpu::Adapter>) -> Self {
        log::info!("device '{}' ({}, {}), {:?}", info.name, info.backend, info.driver, info.caps);
        Gpu(Arc::new(Inner {
            device,
            queue,
            info,
            pipelines: Arc::default(),
            counters: AtomicCounters::default(),
            memory: Arc::default(),
            preparation: Arc::default(),
            record: None,
            adapter,
        }))
    }

    /// Another handle of the same device, with what `change` makes different.
    fn changed(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let Inner { device, queue, info, pipelines, memory, preparation, record, adapter, .. } = &*self.0;
        let mut inner = Inner {
            device: device.clone(),
            queue: queue.clone(),
            info: info.clone(),
            pipelines: pipelines.clone(),
            counters: AtomicCounters::default(),
            memory: memory.clone(),
            preparation: preparation.clone(),
            record: record.clone(),
            adapter: adapter.clone(),
        };
        change(&mut inner);
        Gpu(Arc::new(inner))
    }

    /// What identifies the device.
    pub fn info(&self) -> &DeviceInfo {
        &self.0.info
    }

    /// The same device with other limits as far as planning is concerned, for tests: `change` may only lower them. Nothing is
    /// known of its kernels.
    pub fn with_caps(&self, change: impl FnOnce(&mut Caps)) -> Self {
        self.changed(|inner| {
            change(&mut inner.info.caps);
            inner.record = None;
        })
    }

    /// The same device, whose kernels are compared with the reference before their first use, and timed against one another, as far
    /// as the record's budget goes. What is learnt is added to the record, and plans heed it.
    pub fn with_record(&self, record: Arc<Record>) -> Self {
        let compiled = record.pipelines();
        let gpu = self.changed(|inner| inner.record = Some(record));
        compiled.into_iter().for_each(|path| gpu.0.pipelines.keep(&gpu, path));
        gpu
    }

    /// What is known of the device's kernels, where that is kept.
    pub fn record(&self) -> Option<&Arc<Record>> {
        self.0.record.as_ref()
    }

    /// The same device, where plans heed `choices` and nothing is learnt, for trials, whose time somebody else counts.
    fn settled(&self, choices: Choices) -> Self {
        self.changed(|inner| {
            inner.record = Some(Arc::new(Record::settled(choices)));
            inner.preparation = Arc::default();
        })
    }

    /// The same device as a broken driver would make it, for tests: `fault` changes the WGSL of the kernels of its choice.
    #[doc(hidden)]
    pub fn with_fault(&self, fault: impl Fn(&Kernel, String) -> String + Send + Sync + 'static) -> Self {
        self.changed(|inner| inner.pipelines = Arc::new(pipelines::Pipelines::with_fault(Arc::new(fault))))
    }

    /// What the device was asked for so far.
    pub fn counters(&self) -> Counters {
        let c = &self.0.counters;
        let [buffers, bind_groups, pipelines, submits] =
            [&c.buffers, &c.bind_groups, &c.pipelines, &c.submits].map(|n| n.load(Ordering::Relaxed));
        Counters { buffers, bind_groups, pipelines, submits }
    }

    fn error(&self, what: impl Into<String>) -> Error {
        Error::Device { device: self.0.info.name.clone(), what: what.into() }
    }

    /// Runs `work`, and turns what wgpu reports of it on this thread into an error that names `what`.
    fn guard<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.scoped(work) {
            (result, None) => result,
            (_, Some(e)) => Err(self.error(format!("{what}: {e}"))),
        }
    }

    /// Runs `work`; its result, and the first that wgpu reports of it on this thread.
    fn scoped<T>(&self, work: impl FnOnce() -> T) -> (T, Option<wgpu::Error>) {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes = [OutOfMemory, Internal, Validation].map(|filter| self.0.device.push_error_scope(filter));
        let result = work();
        let mut failure = None;
        for scope in scopes.into_iter().rev() {
            failure = failure.or(pollster::block_on(scope.pop()));
        }
        (result, failure)
    }

    fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        self.0.counters.submits.fetch_add(1, Ordering::Relaxed);
        let submission = self.0.queue.submit([commands]);
        self.0.memory.submitted();
        submission
    }

    /// Begins to bring what was written so far.
    fn flush(&self) {
        self.0.queue.submit([]);
        self.0.memory.submitted();
    }

    /// Waits until that submission and all before it are done and their callbacks have run.
    fn wait_for(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        self.poll(poll)
    }

    /// Waits until all submitted work is done and its callbacks have run.
    fn wait(&self) -> Result<()> {
        self.poll(wgpu::PollType::wait_indefinitely())
    }

    fn poll(&self, until: wgpu::PollType) -> Result<()> {
        self.0.device.poll(until).map_err(|e| self.error(format!("waiting for submitted work: {e}")))?;
        self.0.memory.arrived();
        Ok(())
    }

    /// Copies parts of buffers to the host: `(buffer, offset, bytes)` each. Runs of plans read back through buffers
    /// that are made once.
    fn read(&self, parts: &[(&Buffer, u64, u64)]) -> Result<Vec<Vec<u8>>> {
        let total = parts.iter().map(|(_, _, n)| n.next_multiple_of(4)).sum();
        let target =
            self.buffer(Purpose::Staging, "a readback", total, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        self.guard("reading back", || {
            let mut encoder = self.0.device.create_command_encoder(&Default::default());
            let mut at = 0;
            for (buffer, offset, bytes) in parts {
                encoder.copy_buffer_to_buffer(buffer, *offset, &target, at, bytes.next_multiple_of(4));
                at += bytes.next_multiple_of(4);
            }
            self.submit(encoder.finish());
            let mapped = map(&target, wgpu::MapMode::Read);
            self.wait()?;
            mapped.check(self, "reading back")?;
            let view = target.get_mapped_range(..).map_err(|e| self.error(format!("reading back: {e}")))?;
            let mut at = 0;
            let part = |(_, _, bytes): &(&Buffer, u64, u64)| {
                let from = at;
                at += bytes.next_multiple_of(4) as usize;
                view[from..from + *bytes as usize].to_vec()
            };
            Ok(parts.iter().map(part).collect())
        })
    }
}

/// A mapping that was asked for: what its callback will say.
struct Mapping(mpsc::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>);

/// Asks for a buffer to be mapped; it is once the device was waited for.
fn map(buffer: &wgpu::Buffer, mode: wgpu::MapMode) -> Mapping {
    let (said, heard) = mpsc::channel();
    buffer.map_async(mode, .., move |result| {
        let _ = said.send(result);
    });
    Mapping(heard)
}

impl Mapping {
    /// Refuses a mapping that did not come about, as on a lost device. Another thread that waits for the same device
    /// may be about to run the callback, hence the patience.
    fn check(&self, gpu: &Gpu, what: &str) -> Result<()> {
        match self.0.recv_timeout(Duration::from_secs(10)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(gpu.error(format!("{what}: {e}; the device may be lost"))),
            Err(_) => Err(gpu.error(format!("{what}: the device did not finish"))),
        }
    }
}
