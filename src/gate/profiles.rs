//! Devices to hold kernels to: those that lowering tells apart, and what real adapters report through wgpu.
//!
//! Figures of adapters are what drivers of a family commonly report to the database vulkan.gpuinfo.org, the lower ones where reports
//! differ; comments name what other sources say. Sizes of bindings and buffers are capped as wgpu 30 caps them, and 64 storage buffers
//! stand for more than any kernel could bind.

use super::Feature;
use crate::kernel::Caps;
use crate::kernel::caps::{Cooperative, Width};

/// Limits that planning does not look at, because every kernel must keep to the least of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Storage buffers that a kernel may bind.
    pub storage_buffers: u32,
    /// Bind groups of a pipeline.
    pub bind_groups: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Invocations of a workgroup in x, y and z.
    pub workgroup_size: [u32; 3],
}

impl Limits {
    /// What WebGPU promises of every adapter ("Limits" of the specification, column of defaults).
    pub const WEBGPU: Limits = Limits {
        storage_buffers: 8,
        bind_groups: 4,
        workgroup_bytes: 16 << 10,
        invocations: 256,
        workgroup_size: [256, 256, 64],
    };
}

/// A device to hold kernels to.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The name by which it can be asked for.
    pub name: String,
    /// What planning sees of it.
    pub caps: Caps,
    /// What else it offers.
    pub limits: Limits,
    /// Features of the shading language that it offers, besides what `caps` says of subgroups.
    features: &'static [Feature],
}

impl Profile {
    /// Whether a kernel with that feature may run there.
    pub fn offers(&self, feature: Feature) -> bool {
        match feature {
            Feature::Subgroups => self.caps.subgroup.is_some(),
            // Compilers spell it out where a device has no instruction for it.
            Feature::PackedDot => true,
            other => self.features.contains(&other),
        }
    }

    /// Whether it stands for a real adapter and not for a corner of what lowering tells apart.
    pub fn is_adapter(&self) -> bool {
        !self.name.starts_with("wide") && !self.name.starts_with("narrow")
    }
}

/// All profiles: [`corners`], then [`adapters`].
pub fn all() -> Vec<Profile> {
    [corners(), adapters()].concat()
}

/// The devices that lowering tells apart, which offer nothing else beyond the least: both widths, each without subgroups and with
/// ranges of sizes on both sides of every size that lowering compares with; f16, matrices and integers of 64 bits.
pub fn corners() -> Vec<Profile> {
    let ranges = [None, Some((4, 4)), Some((8, 8)), Some((8, 32)), Some((32, 32)), Some((64, 64)), Some((64, 128))];
    let corner = |name: &str, width, subgroup: Option<(u32, u32)>| {
        let name = subgroup.map_or(name.to_owned(), |(min, max)| format!("{name}-{min}-{max}"));
        Profile { name, caps: Caps { width, subgroup, ..Caps::plain() }, limits: Limits::WEBGPU, features: &[] }
    };
    let of = |name, width| ranges.map(|subgroup| corner(name, width, subgroup));
    // f16 with and without matrices that subgroups multiply together; real adapters below list further sizes.
    let fast = |name: &str, subgroup, half, float, features| {
        let profile = corner(name, Width::Wide, Some(subgroup));
        let caps = Caps { half: true, cooperative: Cooperative { half, float }, ..profile.caps };
        Profile { caps, features, ..profile }
    };
    let fast = vec![
        fast("wide-f16", (32, 32), None, None, F16),
        fast("wide-matrices", (32, 32), Some(8), Some(8), MATRICES),
        fast("wide-matrices", (64, 64), None, Some(8), MATRICES),
    ];
    let long = corner("narrow-i64", Width::Narrow, Some((8, 8)));
    let long = Profile { caps: Caps { long: true, ..long.caps }, features: &[Feature::I64], ..long };
    [of("wide", Width::Wide).to_vec(), of("narrow", Width::Narrow).to_vec(), fast, vec![long]].concat()
}

/// The largest binding and, but for NVIDIA's, buffer that wgpu passes on from drivers for Linux and Android.
const CAP: u64 = i32::MAX as u64;

const F16: &[Feature] = &[Feature::F16];
const INTEGERS: &[Feature] = &[Feature::F16, Feature::I16, Feature::I64];
const MATRICES: &[Feature] = &[Feature::F16, Feature::I16, Feature::I64, Feature::CooperativeMatrix];

/// What real adapters report.
pub fn adapters() -> Vec<Profile> {
    let wide = |[binding, buffer]: [u64; 2], [storage, uniform]: [u32; 2], subgroup| Caps {
        max_binding: binding,
        max_buffer: buffer,
        storage_align: storage,
        uniform_align: uniform,
        subgroup,
        ..Caps::plain()
    };
    let narrow = |caps| Caps { width: Width::Narrow, ..caps };
    let limits = |storage_buffers, bind_groups, kib: u32, invocations, workgroup_size| Limits {
        storage_buffers,
        bind_groups,
        workgroup_bytes: kib << 10,
        invocations,
        workgroup_size,
    };
    let of = |name: &str, caps, limits, features: &'static [Feature]| {
        let caps = Caps { half: features.contains(&Feature::F16), long: features.contains(&Feature::I64), ..caps };
        Profile { name: name.into(), caps, limits, features }
    };
    // Opened as experimental.
    let matrices = |half, float, caps| Caps { cooperative: Cooperative { half: Some(half), float }, ..caps };
    vec![
        // A browser that is asked for nothing: the defaults of the WebGPU specification. f16 and subgroups are features
        // to ask for; wgpu's WebGPU backend offers no subgroups.
        of("browser", Caps::plain(), Limits::WEBGPU, &[]),
        // Intel's integrated GPUs (Gen12, Xe) with Mesa's ANV on Linux: subgroups of 8 to 32 (vulkaninfo in
        // github.com/smxi/inxi/issues/284), bindings of 1 GiB.
        of("intel-igpu", wide([1 << 30, CAP], [4, 64], Some((8, 32))), limits(64, 8, 64, 1024, [1024; 3]), INTEGERS),
        // Qualcomm's Adreno 6xx and 7xx with its own driver: subgroups of 64 or 128 (vulkaninfo in
        // github.com/termux/termux-packages/pull/7165).
        of("adreno", wide([128 << 20, 1 << 30], [64, 64], Some((64, 128))), limits(24, 4, 32, 1024, [1024, 1024, 64]), F16),
        // Adreno 610, the only GPU with reports below 32 KiB of workgroup memory (github.com/gpuweb/gpuweb/issues/2832).
        of("adreno-610", wide([128 << 20, 1 << 30], [64, 64], Some((64, 128))), limits(24, 4, 16, 256, [256, 256, 64]), F16),
        // Arm's Mali of the Valhall families (G57, G77 and later): warps of 16.
        of("mali", wide([128 << 20, 1 << 30], [16, 16], Some((16, 16))), limits(35, 4, 32, 512, [512; 3]), F16),
        // Mali of the Bifrost families (G71 to G76), whose drivers offer no arithmetic within subgroups.
        of("mali-bifrost", wide([128 << 20, 1 << 30], [16, 16], None), limits(35, 4, 32, 384, [384; 3]), F16),
        // Apple's M and A GPUs from family Apple 4 on, through Metal: 32 KiB and 1024 threads (Metal Feature Set Tables); 29 of
        // 31 buffers are free. Subgroups are of 32, whatever wgpu-hal 30 reports.
        of(
            "apple",
            matrices(8, Some(8), wide([CAP, 4 << 30], [32, 256], Some((32, 32)))),
            limits(29, 8, 32, 1024, [1024; 3]),
            MATRICES,
        ),
        // AMD's RDNA 2 and 3 with Mesa's RADV on Linux: subgroups of 32 or 64 (vulkaninfo in
        // github.com/KomputeProject/kompute/issues/275).
        of("rdna", matrices(16, None, wide([CAP, CAP], [4, 4], Some((32, 64)))), limits(64, 8, 64, 1024, [1024; 3]), MATRICES),
        // The same, or any GPU with waves of 32 and 64, through Direct3D 12, whose limits are those of the API (wgpu-hal 30).
        of("rdna-dx12", wide([CAP, CAP], [16, 256], Some((32, 64))), limits(64, 8, 32, 1024, [1024, 1024, 64]), INTEGERS),
        // NVIDIA's GPUs from Turing on with NVIDIA's driver.
        of(
            "nvidia",
            matrices(16, None, wide([CAP, 1 << 40], [16, 64], Some((32, 32)))),
            limits(64, 8, 48, 1024, [1024, 1024, 64]),
            MATRICES,
        ),
        // Mesa's lavapipe, as Debian 12 has it: a CPU with vectors of 8.
        of("lavapipe", narrow(wide([128 << 20, CAP], [32, 32], Some((8, 8)))), limits(32, 8, 32, 1024, [1024; 3]), INTEGERS),
        // SwiftShader, as Chromium brings it: a CPU with vectors of 4.
        of(
            "swiftshader",
            narrow(wide([1 << 30, 1 << 30], [256, 256], Some((4, 4)))),
            limits(10, 4, 32, 256, [256, 256, 64]),
            &[],
        ),
    ]
}
