//! What a decoded token costs the host: `cargo bench --bench host`.
//!
//! The step of a decoded token runs on wgpu's no-op backend, which takes every call and does nothing, so that the time is that of
//! recording, validating, submitting and reading back alone. Plans are those of the profile of `WAVELANE_DEVICE`'s kind of device:
//! a dispatch costs the host the same whatever it computes. The model is `WAVELANE_MODEL`, as for `language`.

#[path = "../tests/support/mod.rs"]
mod models;
mod support;

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use support::table::{Cell, Table};
use support::{Arguments, Result};
use wavelane::dtype::DType;
use wavelane::gpu::Gpu;
use wavelane::kernel::caps::Width;
use wavelane::measure::Effort;
use wavelane::measure::timing::Sample;
use wavelane::models::{LanguageModel, Outputs};
use wavelane::plan::Request;
use wavelane::session::pages::{CacheShape, PagePool};
use wavelane::session::{Device, GraphSession};
use wavelane::shape::Symbols;
use wavelane::tensor::Tensor;

/// Steps of one measurement.
const STEPS: usize = 200;
/// Tokens that the cache has room for.
const CONTEXT: usize = 1024;

fn main() -> Result<()> {
    let arguments = Arguments::parse(&["--json"])?;
    let Some(path) = models::model_path() else { return Ok(()) };
    let model = LanguageModel::open(&path)?;
    let columns = &[("plan for", 8), ("dispatches", 10), ("us/step", 8), ("ns/dispatch", 11), ("spread %", 8)];
    let mut table = Table::new(columns, arguments.json);
    for width in [Width::Narrow, Width::Wide] {
        let gpu = null_device(width)?;
        let before = gpu.counters();
        let mut step = Step::new(&model, gpu.clone())?;
        let dispatches = step.session.prepare(&step.request, &mut |_, _| {})?.map_or(0, |plan| plan.dispatches().count());
        step.run()?;
        let warm = gpu.counters();
        let sample = Sample::take(Effort::FULL.runs, || {
            let started = Instant::now();
            (0..STEPS).try_for_each(|_| step.run())?;
            Ok(started.elapsed().as_secs_f64() / STEPS as f64)
        })?;
        let after = gpu.counters();
        assert!(
            before != warm
                && (after.buffers, after.bind_groups, after.pipelines) == (warm.buffers, warm.bind_groups, warm.pipelines)
        );
        table.row(vec![
            Cell::Text(format!("{width:?}").to_lowercase()),
            Cell::Number(dispatches as f64, 0),
            Cell::Number(sample.median * 1e6, 0),
            Cell::Number(sample.median * 1e9 / dispatches as f64, 0),
            Cell::Number(sample.spread * 100.0, 1),
        ]);
    }
    if arguments.json {
        println!("{}", json!({ "host": table.into_json() }));
    }
    Ok(())
}

/// A device that does nothing, with the limits of a desktop's.
fn null_device(width: Width) -> Result<Gpu> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let options =
        wgpu::NoopBackendOptions { enable: true, subgroup_min_size: Some(8), subgroup_max_size: Some(8), ..Default::default() };
    let backend_options = wgpu::BackendOptions { noop: options, ..Default::default() };
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor { backends: wgpu::Backends::NOOP, backend_options, ..descriptor });
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let mut limits = adapter.limits();
    limits.max_storage_buffer_binding_size = 128 << 20;
    let device =
        wgpu::DeviceDescriptor { required_features: wgpu::Features::SUBGROUP, required_limits: limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&device))?;
    Ok(Gpu::from_wgpu(device, queue)?.with_caps(|caps| caps.width = width))
}

/// The step of a decoded token that yields the best next one.
struct Step {
    session: GraphSession,
    request: Request,
    inputs: Vec<Tensor>,
}

impl Step {
    fn new(model: &LanguageModel, gpu: Gpu) -> Result<Self> {
        let cache = CacheShape { slots: 1, context: CONTEXT };
        let (graph, _) = model.graph(&cache, DType::F16)?;
        let session = GraphSession::new(&Device::Gpu(gpu), Arc::new(graph), None)?;
        let mut pool = PagePool::new(cache);
        pool.reserve(0, 65)?;
        let one = |n: u32| Tensor::u32(&[1], vec![n]);
        let table = Tensor::u32(&[1, cache.blocks()], pool.table())?;
        let inputs = vec![one(1)?, one(0)?, one(64)?, table, one(0)?, one(0)?];
        let symbols = Symbols::from([("T".into(), 1), ("R".into(), 1)]);
        Ok(Step { session, request: Request { symbols, outputs: vec![Outputs::BEST] }, inputs })
    }

    fn run(&mut self) -> Result<()> {
        let results = self.session.run(&self.request, self.inputs.clone())?;
        if results.len() == 1 { Ok(()) } else { Err("a step has one result".into()) }
    }
}
