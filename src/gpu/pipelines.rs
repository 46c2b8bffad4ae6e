//! Compute pipelines, made in parallel and kept by key.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, OnceLock};

use rayon::prelude::*;

use super::Gpu;
use super::pipeline_cache::PipelineCache;
use crate::error::Result;
use crate::kernel::{Kernel, linker};

/// What decides about a pipeline: the kernel, and of each binding besides `params` the group, the number and whether it
/// is bound read-only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The kernel.
    pub kernel: Kernel,
    /// Its bindings, in the dispatch's order.
    pub bindings: Vec<(u32, u32, bool)>,
}

/// A pipeline with the layouts of its bind groups.
pub struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    /// By group; `None` where the kernel has no such group.
    pub layouts: Vec<Option<wgpu::BindGroupLayout>>,
}

/// Changes the WGSL of a kernel as a broken driver might change what it does.
type Fault = Box<dyn Fn(&Kernel, String) -> String + Send + Sync>;

/// All pipelines of a device.
#[derive(Default)]
pub struct Pipelines {
    made: Mutex<HashMap<Key, std::sync::Arc<Pipeline>>>,
    /// What the driver compiled, where that is kept.
    compiled: OnceLock<Option<PipelineCache>>,
    /// For tests.
    fault: Option<Fault>,
}

impl Pipelines {
    /// None yet, and all to come with `fault`.
    pub fn with_fault(fault: Fault) -> Self {
        Pipelines { fault: Some(fault), ..Pipelines::default() }
    }

    /// From now on what the driver compiles is kept in a file, if it is not already.
    pub fn keep(&self, gpu: &Gpu, path: PathBuf) {
        self.compiled.get_or_init(|| {
            let opened = PipelineCache::open(gpu, path);
            opened.inspect_err(|e| log::warn!("compiled pipelines are not kept: {e}")).ok().flatten()
        });
    }

    fn compiled(&self) -> Option<&PipelineCache> {
        self.compiled.get().and_then(Option::as_ref)
    }
}

impl Gpu {
    /// The pipelines of `keys`, in that order; those that do not exist are made, several at a time.
    pub(super) fn pipelines(&self, keys: &[Key]) -> Result<Vec<std::sync::Arc<Pipeline>>> {
        let lock = || self.0.pipelines.made.lock().unwrap_or_else(|e| e.into_inner());
        let mut missing: Vec<&Key> = Vec::new();
        {
            let made = lock();
            for key in keys {
                if !made.contains_key(key) && !missing.contains(&key) {
                    missing.push(key);
                }
            }
        }
        let new: Vec<_> = missing.par_iter().map(|key| Ok(((*key).clone(), self.make(key)?.into()))).collect::<Result<_>>()?;
        let mut made = lock();
        made.extend(new);
        Ok(keys.iter().filter_map(|key| made.get(key).cloned()).collect())
    }

    /// Writes what the driver compiled where that is kept, once a plan is ready: trials, of which there are many, leave it to that.
    pub(super) fn keep_pipelines(&self) {
        if self.record().is_some_and(|record| record.pipelines().is_some()) {
            self.0.pipelines.compiled().iter().for_each(|compiled| compiled.save());
        }
    }

    /// The WGSL of a kernel.
    pub(super) fn source(&self, kernel: &Kernel) -> Result<String> {
        let source = linker::link(kernel)?;
        Ok(match &self.0.pipelines.fault {
            Some(fault) => fault(kernel, source),
            None => source,
        })
    }

    fn make(&self, key: &Key) -> Result<Pipeline> {
        self.0.counters.pipelines.fetch_add(1, Ordering::Relaxed);
        let source = self.source(&key.kernel)?;
        let label = key.kernel.to_string();
        self.guard(&format!("compiling {label}"), || {
            let layouts: Vec<Option<wgpu::BindGroupLayout>> = (0..=2).map(|group| self.layout(key, group)).collect();
            let used = layouts.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
            let references: Vec<Option<&wgpu::BindGroupLayout>> = layouts[..used].iter().map(Option::as_ref).collect();
            let layout = self.0.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&label),
                bind_group_layouts: &references,
                immediate_size: 0,
            });
            let module = self.module(&label, source);
            let pipeline = self.0.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&label),
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every kernel writes workgroup memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: self.0.pipelines.compiled().map(|compiled| &compiled.cache),
            });
            Ok(Pipeline { pipeline, layouts })
        })
    }

    fn module(&self, label: &str, source: String) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(source.into()) };
        // Debug builds, and so tests, keep bounds checks. Loop bounding stays off in both: it makes every loop count.
        let checks = wgpu::ShaderRuntimeChecks {
            bounds_checks: cfg!(debug_assertions),
            force_loop_bounding: false,
            ..wgpu::ShaderRuntimeChecks::checked()
        };
        // SAFETY: the source is linked from this crate's own files. Their loops end, and their indices stay within bindings
        // that the plan sizes; indices that come from inputs (tokens, positions, slots, pages, rows, targets) are clamped or
        // skipped in the shader. Every variant is run with bounds checks in the tests.
        #[allow(unsafe_code)]
        unsafe {
            self.0.device.create_shader_module_trusted(descriptor, checks)
        }
    }

    fn layout(&self, key: &Key, group: u32) -> Option<wgpu::BindGroupLayout> {
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storage = |(_, binding, read_only): &(u32, u32, bool)| {
            entry(*binding, wgpu::BufferBindingType::Storage { read_only: *read_only })
        };
        let mut entries: Vec<_> = key.bindings.iter().filter(|b| b.0 == group).map(storage).collect();
        if group == 0 {
            entries.push(entry(0, wgpu::BufferBindingType::Uniform));
        }
        let descriptor = wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries };
        (!entries.is_empty()).then(|| self.0.device.create_bind_group_layout(&descriptor))
    }
}
