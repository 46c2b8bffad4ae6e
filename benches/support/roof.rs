//! The roof of a device, measured with kernels of our own through wgpu: no kernel of the crate can be faster.
//!
//! A GPU reads fastest when neighbouring lanes read neighbouring words, a CPU that runs shaders when each lane reads a run
//! of its own; both are tried, and the better counts.

use std::fmt;

use serde::Serialize;
use wavelane::gpu::DeviceInfo;
use wgpu::BufferUsages as Usage;

use super::Result;
use super::timing::{Sample, per_repetition};

/// Bytes of the buffer that is read, where a binding may be that large; it leaves every common cache.
const BYTES: u64 = 256 << 20;
/// Lanes of a workgroup, as in the shader.
const WORKGROUP: u64 = 64;
/// Workgroups of the arithmetic kernel, enough to fill any device.
const GROUPS: u32 = 4096;
/// Fused multiply-adds of a lane of the arithmetic kernel, two operations each.
const MULTIPLY_ADDS: u64 = 512 * 48;

/// What a device can do at most.
#[derive(Clone, Debug, Serialize)]
pub struct Roof {
    /// Bytes read per second.
    pub read: f64,
    /// How those were read.
    pub pattern: &'static str,
    /// Bytes read plus bytes written per second by a copy from buffer to buffer.
    pub copy: f64,
    /// f32 operations per second, without any load.
    pub flops: f64,
    /// Seconds of one more dispatch in a submit, recording included.
    pub dispatch: f64,
    /// Seconds from submitting one dispatch to having waited for it.
    pub submit: f64,
}

impl fmt::Display for Roof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Roof { read, pattern, copy, flops, dispatch, submit } = self;
        let (read, copy, flops, dispatch, submit) = (read / 1e9, copy / 1e9, flops / 1e9, dispatch * 1e6, submit * 1e6);
        write!(f, "read {read:.1} GB/s ({pattern}), copy {copy:.1} GB/s (read and written), ")?;
        write!(f, "f32 {flops:.1} GFLOP/s, dispatch {dispatch:.1} us, submit and wait {submit:.1} us")
    }
}

/// Measures the device that `info` names.
pub fn measure(info: &DeviceInfo) -> Result<Roof> {
    let bench = Bench::open(info)?;
    let bytes = 1u64 << BYTES.min(info.caps.max_binding).min(info.caps.max_buffer).ilog2();
    let (source, target, written) = (bench.buffer(bytes), bench.buffer(bytes), bench.buffer(4 << 20));
    let quads = bytes / 16;
    let groups = |reads: u64| (quads / reads / WORKGROUP) as u32;
    let fill = bench.kernel("fill", 64, &[(1, &source)]);
    bench.submit(|encoder| fill.record(encoder, 1, groups(64)))?;

    let (mut read, mut pattern) = (0.0, "");
    for (entry, reads) in [("coalesced", 64), ("contiguous", 512)] {
        let kernel = bench.kernel(entry, reads, &[(0, &source), (1, &written)]);
        let time = bench.time(|encoder, n| kernel.record(encoder, n, groups(reads)))?;
        // The source holds 0, 1, 2, 3 plus 0 to 7: 5 on average.
        let sum: f64 = bench.read(&written, quads / reads * 16)?.iter().map(|v| f64::from(*v)).sum();
        if sum != 5.0 * (4 * quads) as f64 {
            return Err(format!("the {entry} read summed to {sum}: it did not read everything once").into());
        }
        if bytes as f64 / time.median > read {
            (read, pattern) = (bytes as f64 / time.median, entry);
        }
    }
    let copy = bench.time(|encoder, n| (0..n).for_each(|_| encoder.copy_buffer_to_buffer(&source, 0, &target, 0, bytes)))?;
    let multiply_add = bench.kernel("multiply_add", 64, &[(1, &written)]);
    let arithmetic = bench.time(|encoder, n| multiply_add.record(encoder, n, GROUPS))?;
    let flops = (2 * MULTIPLY_ADDS * u64::from(GROUPS) * WORKGROUP) as f64 / arithmetic.median;
    let nothing = bench.kernel("nothing", 64, &[(1, &written)]);
    let dispatch = bench.time(|encoder, n| nothing.record(encoder, n, 1))?.median;
    let one = || bench.submit(|encoder| nothing.record(encoder, 1, 1));
    let submit = per_repetition(|n| Ok(move || (0..n).try_for_each(|_| one())))?.median;
    Ok(Roof { read, pattern, copy: (2 * bytes) as f64 / copy.median, flops, dispatch, submit })
}

/// A device of our own on the adapter that the benchmark runs on.
struct Bench {
    device: wgpu::Device,
    queue: wgpu::Queue,
    module: wgpu::ShaderModule,
}

/// A pipeline with its bindings.
struct Kernel {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
}

impl Kernel {
    fn record(&self, encoder: &mut wgpu::CommandEncoder, n: u32, groups: u32) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        (0..n).for_each(|_| pass.dispatch_workgroups(groups, 1, 1));
    }
}

impl Bench {
    fn open(info: &DeviceInfo) -> Result<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::all());
        let adapters = pollster::block_on(instance.enumerate_adapters(backends));
        let adapter = adapters.get(info.index).filter(|a| a.get_info().name == info.name);
        let adapter = adapter.ok_or_else(|| format!("'{}' is no longer adapter {}", info.name, info.index))?;
        let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
        let source = wgpu::ShaderModuleDescriptor {
            label: Some("roof"),
            source: wgpu::ShaderSource::Wgsl(include_str!("roof.wgsl").into()),
        };
        // SAFETY: the loops end, and every index lies within the buffers that `measure` makes. The crate's own kernels
        // run without checks too, and a roof with checks would be too low.
        #[allow(unsafe_code)]
        let module = unsafe { device.create_shader_module_trusted(source, wgpu::ShaderRuntimeChecks::unchecked()) };
        Ok(Bench { device, queue, module })
    }

    fn buffer(&self, size: u64) -> wgpu::Buffer {
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    }

    fn kernel(&self, entry: &str, reads: u64, buffers: &[(u32, &wgpu::Buffer)]) -> Kernel {
        let reads = [("READS", reads as f64)];
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: None,
            module: &self.module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions { constants: &reads, ..Default::default() },
            cache: None,
        });
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (buffers.iter())
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding: *binding, resource: buffer.as_entire_binding() })
            .collect();
        let layout = &pipeline.get_bind_group_layout(0);
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        Kernel { pipeline, bindings }
    }

    fn submit(&self, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Result<()> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        record(&mut encoder);
        self.queue.submit([encoder.finish()]);
        self.device.poll(wgpu::PollType::wait_indefinitely())?;
        Ok(())
    }

    /// The time of one of what `record` is told to record so many of.
    fn time(&self, record: impl Fn(&mut wgpu::CommandEncoder, u32)) -> Result<Sample> {
        let record = &record;
        per_repetition(|n| Ok(move || self.submit(|encoder| record(encoder, n as u32))))
    }

    fn read(&self, buffer: &wgpu::Buffer, size: u64) -> Result<Vec<f32>> {
        let usage = Usage::MAP_READ | Usage::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let target = self.device.create_buffer(&descriptor);
        self.submit(|encoder| encoder.copy_buffer_to_buffer(buffer, 0, &target, 0, size))?;
        target.map_async(wgpu::MapMode::Read, .., |_| {});
        self.device.poll(wgpu::PollType::wait_indefinitely())?;
        Ok(bytemuck::cast_slice(&target.get_mapped_range(..)?).to_vec())
    }
}
