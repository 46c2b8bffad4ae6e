//! Runs a model on a wgpu device that the host application owns, as an egui or game program would:
//! `cargo run --release --example host_device -- MODEL.gguf "The capital of France is" [ADAPTER]`.

use wavelane::generate::{Engine, Options, Request, Sampling};
use wavelane::gpu::Gpu;
use wavelane::session::Device;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, prompt, rest @ ..] = &arguments[..] else {
        eprintln!("usage: host_device MODEL.gguf PROMPT [ADAPTER]");
        std::process::exit(2);
    };
    // The host opens its device as it would without us, but with the adapter's own limits, and subgroups where they exist.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let wanted = rest.first().cloned().unwrap_or_default();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|a| a.get_info().name.contains(&wanted)).ok_or("no such adapter")?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: adapter.features() & wgpu::Features::SUBGROUP,
        required_limits: adapter.limits(),
        ..Default::default()
    }))?;

    let engine = Engine::open(model, Device::Gpu(Gpu::from_wgpu(device.clone(), queue.clone())?))?;
    let mut sequence = engine.sequence(&Options::default())?;
    let request = Request { max_tokens: 8, sampling: Sampling::greedy(), ..Request::default() };
    for piece in sequence.generate(prompt.as_str(), &request)? {
        print!("{}", piece?.text);
    }
    println!();
    Ok(())
}
