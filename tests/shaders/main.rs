//! Every shader variant that the planner can produce, without a GPU: valid WGSL, within the limits that every device
//! offers, and translated to SPIR-V, MSL and HLSL. `WAVELANE_DUMP_SHADERS=DIR` writes the linked text of each into a folder.

mod batched;
mod bytes;
mod convolution;
mod elementwise;
mod indexing;
mod language;
mod reductions;
mod spatial;
mod support;

use std::collections::BTreeSet;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use wavelane::graph::Graph;
use wavelane::kernel::caps::{Caps, Cooperative, Width};
use wavelane::kernel::{Dispatch, Kernel, linker};
use wavelane::ops::Op;
use wavelane::plan;
use wavelane::shape::Symbols;

/// The devices that lowering tells apart.
fn profiles() -> Vec<Caps> {
    let subgroups = [None, Some((4, 4)), Some((8, 8)), Some((8, 32)), Some((32, 32)), Some((64, 64)), Some((64, 128))];
    let caps = |width, subgroup| Caps { width, subgroup, ..Caps::plain() };
    let of = |width| subgroups.map(|s| caps(width, s));
    // Matrices that subgroups multiply together, as GPUs of several makers list them.
    let matrices = [
        ((32, 32), None, None),
        ((32, 64), Some(16), None),
        ((32, 32), Some(16), None),
        ((32, 32), Some(8), Some(8)),
        ((64, 64), None, Some(8)),
    ];
    let with = |(subgroup, half, float)| {
        let cooperative = Cooperative { half, float };
        Caps { half: true, cooperative, ..caps(Width::Wide, Some(subgroup)) }
    };
    [of(Width::Wide).to_vec(), of(Width::Narrow).to_vec(), matrices.map(with).to_vec()].concat()
}

/// Graphs of every op in every way that lowering distinguishes; those of one op lie in the file of its kind.
fn graphs() -> Vec<Graph> {
    [
        batched::graphs(),
        bytes::graphs(),
        convolution::graphs(),
        elementwise::graphs(),
        indexing::graphs(),
        language::graphs(),
        reductions::graphs(),
        spatial::graphs(),
    ]
    .concat()
}

fn dispatches() -> Vec<(Caps, Dispatch)> {
    let graphs = graphs();
    let mut all = Vec::new();
    for caps in profiles() {
        for graph in &graphs {
            let plan = plan::compile(graph, &Symbols::new(), &caps).unwrap();
            all.extend(plan.dispatches().map(|d| (caps.clone(), d.clone())));
        }
    }
    all
}

#[test]
fn every_op_is_covered() {
    let names: BTreeSet<&str> = graphs().iter().flat_map(|g| g.nodes.iter().map(|n| n.op.name())).collect();
    assert_eq!(names.len(), Op::NAMES.len(), "a new op needs its graphs here: {names:?}");
    let used: BTreeSet<String> = dispatches()
        .iter()
        .flat_map(|(_, d)| [d.kernel.shader.to_string()].into_iter().chain(d.kernel.providers.iter().map(|p| p.to_string())))
        .collect();
    for (stem, _) in linker::FILES {
        assert!(used.contains(*stem) || linker::LIBRARY.contains(stem), "no plan uses shaders/{stem}.wgsl");
    }
}

#[test]
fn bindings_stay_within_what_every_device_offers() {
    for (_, dispatch) in dispatches() {
        let n = dispatch.bindings.len();
        assert!(n <= 8, "{} binds {n} storage buffers", dispatch.kernel);
        assert!(dispatch.grid.iter().all(|n| (1..=65535).contains(n)), "{} has the grid {:?}", dispatch.kernel, dispatch.grid);
    }
}

#[test]
fn subgroups_are_used_only_where_every_subgroup_is_large_enough() {
    for (caps, dispatch) in dispatches() {
        let kernel = &dispatch.kernel;
        let lanes = kernel.consts.iter().find(|(name, _)| name == "LANES").map_or(8, |(_, lanes)| *lanes);
        let source = linker::link(kernel).unwrap();
        let calls = ["Add(", "Any(", "Broadcast(", "Max(", "Min(", "Shuffle("];
        if calls.iter().any(|call| source.contains(&format!("subgroup{call}"))) {
            assert!(caps.subgroup.is_some_and(|(min, _)| min >= lanes), "{kernel} on {caps:?}");
        }
    }
}

#[test]
fn every_variant_is_valid_and_translates() {
    let kernels: BTreeSet<Kernel> = dispatches().into_iter().map(|(_, d)| d.kernel).collect();
    println!("{} variants", kernels.len());
    assert!(kernels.len() > 100, "only {} variants were planned", kernels.len());
    let folder = std::env::var_os("WAVELANE_DUMP_SHADERS").map(std::path::PathBuf::from);
    for (number, kernel) in kernels.into_iter().enumerate() {
        let source = linker::link(&kernel).unwrap();
        if let Some(folder) = &folder {
            let name: String = kernel.to_string().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).take(120).collect();
            std::fs::write(folder.join(format!("{name}-{number}.wgsl")), &source).unwrap();
        }
        let module = naga::front::wgsl::parse_str(&source).unwrap_or_else(|e| panic!("{kernel}: {}", e.emit_to_string(&source)));
        let capabilities = Capabilities::SUBGROUP
            | Capabilities::SHADER_FLOAT16_IN_FLOAT32
            | Capabilities::SHADER_FLOAT16
            | Capabilities::COOPERATIVE_MATRIX;
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        let info = validator
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|e| panic!("{kernel}: {}", e.emit_to_string(&source)));
        within_plain_limits(&kernel, &module);
        translate(&kernel, &module, &info);
    }
}

fn within_plain_limits(kernel: &Kernel, module: &naga::Module) {
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let shared: u32 = module
        .global_variables
        .iter()
        .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
        .map(|(_, v)| layouter[v.ty].size)
        .sum();
    assert!(shared <= 16384, "{kernel} takes {shared} bytes of workgroup memory");
    let size = module.entry_points[0].workgroup_size;
    assert!(size.iter().product::<u32>() <= 256, "{kernel} has workgroups of {size:?}");
}

fn translate(kernel: &Kernel, module: &naga::Module, info: &naga::valid::ModuleInfo) {
    use naga::back::{hlsl, msl, spv};
    let options = spv::Options { lang_version: (1, 3), ..Default::default() };
    let words = spv::write_vec(module, info, &options, None).unwrap_or_else(|e| panic!("{kernel} to SPIR-V: {e}"));
    assert!(words.len() > 100, "{kernel}");

    let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
    let (text, _) = msl::write_string(module, info, &options, &msl::PipelineOptions::default())
        .unwrap_or_else(|e| panic!("{kernel} to MSL: {e}"));
    assert!(text.contains("kernel void"), "{kernel}");

    // DX12 has no such matrices.
    if kernel.shader == "mat_mul_cooperative" {
        return;
    }
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_2, fake_missing_bindings: true, ..Default::default() };
    let mut text = String::new();
    let pipeline = hlsl::PipelineOptions::default();
    hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(module, info, None)
        .unwrap_or_else(|e| panic!("{kernel} to HLSL: {e}"));
    assert!(text.contains("numthreads"), "{kernel}");
}
