//! Compute pipelines, made in parallel and kept by key.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use rayon::prelude::*;

use super::Gpu;
use super::launch;
use super::pipeline_cache::PipelineCache;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, linker};
use crate::plan::Plan;

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

/// A pipeline, or what the driver said when it refused to compile the kernel.
type Made = std::result::Result<Arc<Pipeline>, String>;

/// A kernel that the driver does not compile, and what it said.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The kernel.
    pub kernel: Kernel,
    /// The driver's reason.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the driver does not compile it: {}", self.reason)
    }
}

/// Changes the WGSL of a kernel as a broken driver might change what it does.
type Fault = Arc<dyn Fn(&Kernel, String) -> String + Send + Sync>;

/// All pipelines of a device.
#[derive(Default)]
pub struct Pipelines {
    made: Mutex<HashMap<Key, Made>>,
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

    /// None yet, and all to come with the same fault.
    #[cfg(feature = "gate")]
    pub fn afresh(&self) -> Self {
        Pipelines { fault: self.fault.clone(), ..Pipelines::default() }
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
    ///
    /// # Errors
    /// [`Error::Device`] naming a kernel that the driver refuses to compile.
    pub(super) fn pipelines(&self, keys: &[Key]) -> Result<Vec<Arc<Pipeline>>> {
        if let Some(refusal) = self.compile(keys)?.first() {
            return Err(self.refused(refusal));
        }
        let made = self.made();
        Ok(keys.iter().filter_map(|key| made.get(key)?.clone().ok()).collect())
    }

    /// Makes those pipelines of `keys` that do not exist, several at a time. Returns the kernels that the driver refuses to compile.
    ///
    /// # Errors
    /// [`Error::Device`] where the driver compiles nothing at all any more.
    pub(super) fn compile(&self, keys: &[Key]) -> Result<Vec<Refusal>> {
        let mut missing: Vec<&Key> = Vec::new();
        {
            let made = self.made();
            for key in keys {
                if !made.contains_key(key) && !missing.contains(&key) {
                    missing.push(key);
                }
            }
        }
        let new: Vec<(Key, Made)> = missing.par_iter().map(|key| Ok(((*key).clone(), self.make(key)?))).collect::<Result<_>>()?;
        let mut made = self.made();
        made.extend(new);
        let refusal = |key: &Key| {
            let reason = made.get(key)?.as_ref().err()?.clone();
            Some(Refusal { kernel: key.kernel.clone(), reason })
        };
        Ok(keys.iter().filter_map(refusal).collect())
    }

    /// Makes the pipelines of plans that will run soon, several at a time. What the driver refuses shows when a plan runs.
    ///
    /// # Errors
    /// [`Error::Device`] where the driver compiles nothing at all any more.
    pub fn prepare(&self, plans: &[Plan]) -> Result<()> {
        let keys: Vec<Key> = plans.iter().flat_map(Plan::dispatches).map(launch::key).collect();
        self.compile(&keys).map(|_| ())
    }

    /// Drops the pipelines that nothing holds, once there are more than `most`: for those who try kernel after kernel.
    #[cfg(feature = "gate")]
    pub(crate) fn trim_pipelines(&self, most: usize) {
        let mut made = self.made();
        if made.len() > most {
            made.retain(|_, made| made.as_ref().is_err() || made.as_ref().is_ok_and(|pipeline| Arc::strong_count(pipeline) > 1));
        }
    }

    /// The error where a refused kernel is all that there is.
    pub(super) fn refused(&self, Refusal { kernel, reason }: &Refusal) -> Error {
        self.error(format!("compiling {kernel}: {reason}"))
    }

    fn made(&self) -> MutexGuard<'_, HashMap<Key, Made>> {
        self.0.pipelines.made.lock().unwrap_or_else(|e| e.into_inner())
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

    /// Makes one pipeline. A driver that does not even compile an empty kernel is not refusing this one.
    fn make(&self, key: &Key) -> Result<Made> {
        self.0.counters.pipelines.fetch_add(1, Ordering::Relaxed);
        let source = self.source(&key.kernel)?;
        let (pipeline, failure) = self.scoped(|| self.pipeline(key, source));
        let reason = match failure {
            None => return Ok(Ok(pipeline.into())),
            Some(e @ wgpu::Error::OutOfMemory { .. }) => return Err(self.error(format!("compiling {}: {e}", key.kernel))),
            Some(e) => e.to_string(),
        };
        let empty = Key { kernel: Kernel::new("empty"), bindings: Vec::new() };
        match self.scoped(|| self.pipeline(&empty, "@compute @workgroup_size(1)\nfn main() {}".into())) {
            (_, None) => Ok(Err(reason)),
            (_, Some(_)) => Err(self.error(format!("compiling {}: {reason}; nor does anything else compile", key.kernel))),
        }
    }

    fn pipeline(&self, key: &Key, source: String) -> Pipeline {
        let label = key.kernel.to_string();
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
        Pipeline { pipeline, layouts }
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
