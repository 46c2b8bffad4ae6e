//! The devices that there are, what each can do, and which is opened.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernel::Caps;
use crate::kernel::caps::{Cooperative, Width};

/// Features that are used where an adapter has them. Timestamps cost nothing unless a profile asks for them.
pub(super) const WANTED: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::PIPELINE_CACHE)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SHADER_INT64);

/// What identifies a GPU device, for lists and choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// The number by which it can be asked for.
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub kind: String,
    /// `vulkan`, `metal`, `dx12`, `gl`.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// Why plans cannot run on it, if they cannot.
    pub refused: Option<String>,
    /// Limits and features.
    pub caps: Caps,
}

/// Which device to open.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum DeviceChoice {
    /// The strongest: discrete before integrated before virtual before CPU.
    #[default]
    Best,
    /// The one with that index in [`devices`].
    Index(usize),
    /// The first whose name contains the text, whatever its case.
    Name(String),
}

/// All adapters that wgpu finds, in its order.
pub fn devices() -> Vec<DeviceInfo> {
    described(&adapters())
}

pub(super) fn described(adapters: &[wgpu::Adapter]) -> Vec<DeviceInfo> {
    adapters.iter().enumerate().map(|(i, a)| describe(i, &a.get_info(), &a.limits(), a.features())).collect()
}

/// OpenGL is looked at where nothing better is there, or where `WGPU_BACKEND` asks for it: it would only list the same
/// devices again.
pub(super) fn adapters() -> Vec<wgpu::Adapter> {
    let find = |backends| {
        let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor { backends, ..descriptor });
        pollster::block_on(instance.enumerate_adapters(backends))
    };
    match wgpu::Backends::from_env() {
        Some(backends) => find(backends),
        None => Some(find(wgpu::Backends::PRIMARY)).filter(|found| !found.is_empty()).unwrap_or_else(|| find(wgpu::Backends::GL)),
    }
}

pub(super) fn describe(index: usize, info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> DeviceInfo {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "cpu",
        wgpu::DeviceType::Other => "other",
    };
    DeviceInfo {
        index,
        name: info.name.clone(),
        kind: kind.into(),
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        refused: refusal(limits),
        caps: caps(info, limits, features),
    }
}

/// Opens an adapter with those of `features` that it has and all of its limits.
///
/// # Errors
/// [`Error::Device`] when the driver refuses.
pub(super) fn request(
    adapter: &wgpu::Adapter,
    info: &DeviceInfo,
    features: wgpu::Features,
    experimental_features: wgpu::ExperimentalFeatures,
) -> Result<(wgpu::Device, wgpu::Queue)> {
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("wavelane"),
        required_features: adapter.features() & features,
        experimental_features,
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..Default::default()
    };
    pollster::block_on(adapter.request_device(&descriptor))
        .map_err(|e| Error::Device { device: info.name.clone(), what: format!("cannot be opened: {e}") })
}

/// What every plain kernel variant needs of a device.
fn refusal(limits: &wgpu::Limits) -> Option<String> {
    let need = [
        ("storage buffers in a stage", limits.max_storage_buffers_per_shader_stage, 8),
        ("bytes of workgroup memory", limits.max_compute_workgroup_storage_size, 16384),
        ("invocations in a workgroup", limits.max_compute_invocations_per_workgroup, 256),
        ("bind groups", limits.max_bind_groups, 3),
    ];
    need.iter()
        .find(|(_, has, need)| has < need)
        .map(|(what, has, need)| format!("it offers {has} {what} where {need} are needed"))
}

fn caps(info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> Caps {
    let reported = features.contains(wgpu::Features::SUBGROUP).then_some((info.subgroup_min_size, info.subgroup_max_size));
    // wgpu-hal 30 reports 4 to 64 for every Metal device; the SIMD-groups of Apple's own GPUs are of 32 threads.
    let apple = info.backend == wgpu::Backend::Metal && info.name.starts_with("Apple");
    let subgroup = if apple { reported.map(|_| (32, 32)) } else { reported };
    Caps {
        max_binding: limits.max_storage_buffer_binding_size,
        max_buffer: limits.max_buffer_size,
        storage_align: limits.min_storage_buffer_offset_alignment,
        uniform_align: limits.min_uniform_buffer_offset_alignment,
        max_grid: limits.max_compute_workgroups_per_dimension,
        subgroup,
        half: features.contains(wgpu::Features::SHADER_F16),
        long: features.contains(wgpu::Features::SHADER_INT64),
        cooperative: Cooperative::default(),
        width: if info.device_type == wgpu::DeviceType::Cpu { Width::Narrow } else { Width::Wide },
    }
}

/// The sizes of matrices that kernels can use, of those that an adapter lists.
pub(super) fn cooperative(listed: &[wgpu::CooperativeMatrixProperties]) -> Cooperative {
    use wgpu::CooperativeScalarType::{F16, F32};
    let has = |size: u32, ab_type| {
        let fits = |p: &wgpu::CooperativeMatrixProperties| [p.m_size, p.n_size, p.k_size] == [size; 3];
        listed.iter().any(|p| fits(p) && p.ab_type == ab_type && p.cr_type == F32)
    };
    Cooperative { half: [16, 8].into_iter().find(|n| has(*n, F16)), float: Some(8).filter(|n| has(*n, F32)) }
}

/// The device that `choice` means, of those that were found.
///
/// # Errors
/// [`Error::NoDevice`] saying what was looked for, what was found and what to do.
pub(super) fn choose(choice: &DeviceChoice, found: &[DeviceInfo]) -> Result<DeviceInfo> {
    let rank = |d: &DeviceInfo| {
        let kind = ["discrete", "integrated", "virtual", "other", "cpu"].iter().position(|k| *k == d.kind);
        (kind, d.backend == "gl", d.index)
    };
    let usable = || found.iter().filter(|d| d.refused.is_none());
    let chosen = match choice {
        DeviceChoice::Best => usable().min_by_key(|d| rank(d)),
        DeviceChoice::Index(i) => usable().find(|d| d.index == *i),
        DeviceChoice::Name(name) => {
            let name = name.to_lowercase();
            usable().filter(|d| d.name.to_lowercase().contains(&name)).min_by_key(|d| (d.backend == "gl", d.index))
        }
    };
    chosen.cloned().ok_or_else(|| Error::NoDevice(no_device(choice, found)))
}

/// What was looked for, what there is, and what to do about it.
fn no_device(choice: &DeviceChoice, found: &[DeviceInfo]) -> String {
    let wanted = match choice {
        DeviceChoice::Best => "no GPU device".to_owned(),
        DeviceChoice::Index(i) => format!("no GPU device number {i}"),
        DeviceChoice::Name(name) => format!("no GPU device whose name contains '{name}'"),
    };
    let mut text = format!("{wanted} was found through Vulkan, Metal, DX12 or OpenGL.");
    for d in found {
        let why = d.refused.as_ref().map_or(String::new(), |r| format!(", unusable: {r}"));
        text += &format!("\n  {}: {} ({}, {}){why}", d.index, d.name, d.kind, d.backend);
    }
    text + "\nA software Vulkan driver serves where there is no GPU (Debian and Ubuntu: apt-get install libvulkan1 \
            mesa-vulkan-drivers), and '--device cpu' runs the reference without any driver."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subgroups_of_apple_are_of_32() {
        let sizes = |name: &str, backend, features| {
            let adapter =
                wgpu::AdapterInfo { name: name.into(), ..wgpu::AdapterInfo::new(wgpu::DeviceType::IntegratedGpu, backend) };
            describe(0, &adapter, &wgpu::Limits::default(), features).caps.subgroup
        };
        let reported = Some((wgpu::MINIMUM_SUBGROUP_MIN_SIZE, wgpu::MAXIMUM_SUBGROUP_MAX_SIZE));
        assert_eq!(sizes("Apple M4 Pro", wgpu::Backend::Metal, WANTED), Some((32, 32)));
        assert_eq!(sizes("Apple M4 Pro", wgpu::Backend::Metal, wgpu::Features::empty()), None);
        assert_eq!(sizes("AMD Radeon Pro 5500M", wgpu::Backend::Metal, WANTED), reported);
        assert_eq!(sizes("Apple M4 Pro", wgpu::Backend::Vulkan, WANTED), reported);
    }
}
