//! Device memory: the account beside what wgpu's own allocator has, and the most that a run takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use wavelane::dtype::DType;
use wavelane::generate::{Engine, Options, Prompt, Request, Sampling};
use wavelane::gpu::{Allowance, Budget, Gpu, Memory, Record, Runner, WeightStore};
use wavelane::graph::GraphBuilder;
use wavelane::ops::BatchMatMul;
use wavelane::plan;
use wavelane::session::Device;
use wavelane::shape::Symbols;
use wavelane::tensor::{Tensor, Weight};

use crate::{devices, support};

/// What may be on its way at a time, with all that is neither weights nor states nor activations.
const STAGING: u64 = 64 << 20;
/// What wgpu has for itself: zeros to clear buffers with, and space between buffers.
const OWN: u64 = 2 << 20;

/// The devices of the tests, opened as a host application would, so that their allocator can be asked.
fn hosts() -> Vec<(Gpu, wgpu::Device)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
    let open = |known: Gpu| {
        let adapter = adapters.iter().find(|a| a.get_info().name == known.info().name).unwrap();
        let descriptor = wgpu::DeviceDescriptor {
            required_features: adapter.features() & wgpu::Features::SUBGROUP,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        (Gpu::from_wgpu(device.clone(), queue).unwrap(), device)
    };
    devices::open().into_iter().map(open).collect()
}

/// Bytes of all buffers that wgpu has on a device, and bytes that it has taken from the driver for them.
fn outside(device: &wgpu::Device) -> [u64; 2] {
    let report = device.generate_allocator_report().expect("the backend reports its allocations");
    [report.total_allocated_bytes, report.total_reserved_bytes]
}

/// The account holds what wgpu holds, but for what wgpu has for itself.
fn agrees(gpu: &Gpu, device: &wgpu::Device, when: &str) {
    let (account, [found, _]) = (gpu.memory().now, outside(device));
    let total = account.total();
    assert!(total <= found && found <= total + OWN, "{when}: wgpu has {found} bytes, the account {total}: {account:?}");
}

/// Ends the watch however the work ends.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What `work` returns, and the most bytes that wgpu had taken from the driver meanwhile, looked at again and again.
fn watched<T>(device: &wgpu::Device, work: impl FnOnce() -> T) -> (T, u64) {
    let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(outside(device)[1], Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let _end = End(&done);
        work()
    });
    (result, most.load(Ordering::Relaxed))
}

#[test]
fn a_run_takes_weights_cache_arena_and_little_else() {
    let Some(path) = support::model_path() else { return };
    for (gpu, device) in hosts() {
        // With time for proving and timing kernels, which takes memory of its own.
        let budget = Budget { proving: Allowance::Time(Duration::from_secs(1)), tuning: Allowance::Time(Duration::from_secs(1)) };
        let gpu = gpu.with_record(Arc::new(Record::new(budget)));
        let name = gpu.info().name.clone();
        let ((), reserved) = watched(&device, || {
            let engine = Engine::open(&path, Device::Gpu(gpu.clone())).unwrap();
            let options = Options { context: Some(1024), ..Options::default() };
            let mut sequence = engine.sequence(&options).unwrap();
            agrees(&gpu, &device, "after loading");
            let ids: Vec<u32> = (0..300).map(|i| 100 + i * 7).collect();
            let request = Request { max_tokens: 4, sampling: Sampling::greedy(), ..Request::default() };
            let generation = sequence.generate(Prompt::Ids(ids), &request).unwrap();
            assert!(generation.collect::<Result<Vec<_>, _>>().is_ok_and(|pieces| !pieces.is_empty()));
            agrees(&gpu, &device, "after a text");
        });
        // What a run must have, as the plan and the model say, not the account.
        let engine = Engine::open(&path, Device::Gpu(gpu.clone())).unwrap();
        let options = Options { context: Some(1024), ..Options::default() };
        let mut sequence = engine.sequence(&options).unwrap();
        let plan = sequence.plan(256).unwrap().unwrap();
        let cache = wavelane::session::pages::CacheShape { slots: 1, context: 1024 };
        let states = engine.model().cache_bytes(&cache, DType::F16);
        let needed = plan.weight_bytes() + states + plan.arena_bytes;
        let peak = gpu.memory().peak;
        println!("{name}: {} bytes at most, {reserved} of the driver's, {needed} needed: {peak:?}", peak.total());
        assert_eq!(peak.states, states);
        assert!(peak.weights >= plan.weight_bytes() && peak.total() >= needed, "{peak:?} is too little to be true");
        assert!(peak.total() <= needed + STAGING, "{name}: {peak:?} where {needed} bytes are needed");
        assert!(reserved <= needed + STAGING, "{name}: {reserved} bytes of the driver where {needed} are needed");
        // A second sequence has a cache and activations of its own, and the same weights.
        let before = gpu.memory().now;
        let second = engine.sequence(&options).unwrap();
        let after = gpu.memory().now;
        assert_eq!(after.states, 2 * before.states);
        assert!(
            after.weights - before.weights < 1 << 20,
            "{before:?} became {after:?}: only the rotary table is the graph's own"
        );
        drop((sequence, second, engine));
        let Memory { weights, states, arena, .. } = gpu.memory().now;
        assert_eq!([weights, states, arena], [0; 3], "everything goes with what used it");
    }
}

/// A dense weight beyond what may be on its way at a time.
#[test]
fn dense_weights_are_brought_in_pieces() {
    const K: usize = 4096;
    const N: usize = 8192;
    for (gpu, device) in hosts() {
        let mut b = GraphBuilder::new();
        let x = b.input("x", DType::F32, [1.into(), K.into()]);
        let w = b.weight("w", Weight::new(DType::F32, &[K, N], Arc::new(vec![0u8; K * N * 4]), 0..K * N * 4).unwrap());
        let out = b.one("y", BatchMatMul::plain(), &[x, w]).unwrap();
        b.output(out);
        let request = plan::Request { symbols: Symbols::new(), outputs: vec![0] };
        let mut runner = Runner::new(&gpu, Arc::new(b.finish().unwrap()), WeightStore::new(&gpu)).unwrap();
        let x = Tensor::f32(&[1, K], vec![1.0; K]).unwrap();
        let (results, reserved) = watched(&device, || runner.run(&request, &[x]).unwrap());
        assert_eq!(results[0].as_f32().unwrap().iter().sum::<f32>(), 0.0);
        agrees(&gpu, &device, "after a run");
        let (peak, needed) = (gpu.memory().peak, (K * N * 4) as u64);
        println!("{}: {} bytes at most, {reserved} of the driver's: {peak:?}", gpu.info().name, peak.total());
        assert!(peak.weights >= needed && peak.staging > 1 << 20, "{peak:?} is too little to be true");
        assert!(peak.total() <= needed + STAGING && reserved <= needed + STAGING, "{peak:?}, {reserved} bytes of the driver");
    }
}
