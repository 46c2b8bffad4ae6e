//! What the gate does with variants that break something.

use wavelane::gate::{self, Cost, Count, Feature, Profile, Report, Table, Target, Use, Variant, profiles};
use wavelane::gpu;
use wavelane::kernel::Kernel;

use crate::REPORTS;

fn profile(name: &str) -> (usize, Profile) {
    let found = profiles::all().into_iter().enumerate().find(|(_, profile)| profile.name == name);
    found.unwrap_or_else(|| panic!("there is no profile '{name}'"))
}

/// What the gate says of a small variant that is planned for the profile of that name alone, after `change`.
fn broken(name: &str, change: impl FnOnce(&mut Report, &mut Use)) -> String {
    let mut asked = Use { storage_buffers: 3, bind_groups: 1, grid: 1, dispatches: 1 };
    let mut report = Report {
        variant: Variant { kernel: Kernel::new("it"), uses: [].into() },
        name: "it".into(),
        workgroup_size: [64, 1, 1],
        workgroup_bytes: 0,
        storage_buffers: 3,
        features: Vec::new(),
        cost: Cost::default(),
        refusals: Vec::new(),
    };
    change(&mut report, &mut asked);
    report.variant.uses = [(profile(name).0, asked)].into();
    gate::problems(&[report], &profiles::all()).join("; ")
}

#[test]
fn what_breaks_a_limit_is_named() {
    assert_eq!(broken("browser", |_, _| {}), "");
    let shared = |report: &mut Report, _: &mut Use| report.workgroup_bytes = 16385;
    assert_eq!(broken("browser", shared), "it on browser takes 16385 bytes of workgroup memory, of 16384");
    assert_eq!(broken("adreno-610", shared), "it on adreno-610 takes 16385 bytes of workgroup memory, of 16384");
    assert_eq!(broken("nvidia", shared), "");
    let many = |report: &mut Report, _: &mut Use| report.workgroup_size = [384, 1, 1];
    assert_eq!(
        broken("browser", many),
        "it on browser takes 384 invocations, of 256; it on browser takes 384 invocations in x, of 256"
    );
    assert_eq!(broken("mali-bifrost", many), "");
    let deep = |report: &mut Report, _: &mut Use| report.workgroup_size = [1, 1, 128];
    assert_eq!(broken("nvidia", deep), "it on nvidia takes 128 invocations in z, of 64");
    assert_eq!(broken("browser", |_, asked| asked.storage_buffers = 9), "it on browser takes 9 storage buffers, of 8");
    assert_eq!(broken("swiftshader", |_, asked| asked.storage_buffers = 9), "");
    assert_eq!(broken("browser", |_, asked| asked.bind_groups = 5), "it on browser takes 5 bind groups, of 4");
    assert_eq!(broken("rdna", |_, asked| asked.grid = 65536), "it on rdna takes 65536 workgroups in one dimension, of 65535");
    assert_eq!(broken("rdna", |_, asked| asked.grid = 0), "it on rdna takes a grid without workgroups");
}

#[test]
fn what_lacks_a_feature_is_named() {
    let halves = |report: &mut Report, _: &mut Use| {
        report.features = vec![Feature::F16];
        report.refusals = vec![(Target::GlslEs, String::new())];
    };
    assert_eq!(broken("browser", halves), "it on browser takes the feature f16");
    assert_eq!(broken("swiftshader", halves), "it on swiftshader takes the feature f16");
    assert_eq!(broken("apple", halves), "");
    let lanes = |lanes| {
        move |report: &mut Report, _: &mut Use| {
            report.features = vec![Feature::Subgroups];
            report.variant.kernel = Kernel::new("x").constant("LANES", lanes);
        }
    };
    assert_eq!(broken("browser", lanes(8)), "it on browser takes the feature subgroups");
    assert_eq!(broken("nvidia", lanes(32)), "");
    assert_eq!(broken("mali", lanes(32)), "it on mali takes subgroups of 32, where they may have 16");
    let packed = |report: &mut Report, _: &mut Use| report.features = vec![Feature::PackedDot];
    assert_eq!(broken("browser", packed), "");
}

#[test]
fn translations_are_what_features_say() {
    let refused = |report: &mut Report, _: &mut Use| report.refusals = vec![(Target::Msl, "it in msl: no".into())];
    assert_eq!(broken("browser", refused), "it in msl: no");
    let unexpected = |report: &mut Report, _: &mut Use| report.features = vec![Feature::F16];
    assert!(broken("apple", unexpected).contains("it was translated to glsl-es, though"), "{}", broken("apple", unexpected));
}

#[test]
fn a_cost_that_rose_names_the_variant_and_the_count() {
    let report = REPORTS.iter().find(|r| r.cost.repeated.get(Count::Flops) > 0 && r.cost.once.get(Count::Load4) > 0).unwrap();
    let (name, table) = (&report.name, Table::of(std::slice::from_ref(report)).unwrap());
    let text = table.to_string();
    assert_eq!(Table::parse(&text).unwrap(), table);
    assert!(table.departures(&table).is_empty());
    let flops = report.cost.repeated.get(Count::Flops);
    let cheaper = text.replace(&format!(" loop.flops={flops}"), &format!(" loop.flops={}", flops - 1));
    let cheaper = Table::parse(&cheaper).unwrap();
    assert_eq!(cheaper.departures(&table), [format!("{name}: loop.flops rose from {} to {flops}", flops - 1)]);
    assert_eq!(table.departures(&cheaper), [format!("{name}: loop.flops fell from {flops} to {}", flops - 1)]);
    let without = Table::default();
    assert_eq!(without.departures(&table), [format!("{name} is new")]);
    assert_eq!(table.departures(&without), [format!("{name} is no longer planned")]);
}

#[test]
fn tables_that_are_none_are_refused() {
    for (text, what) in [
        ("no tab", "line 1: it has no tab"),
        ("# ok\nx\tflops", "line 2: a count lacks its '='"),
        ("x\tflops=many", "line 1: a count is no number"),
        ("x\tflops=1\nx\tflops=1", "line 2: the variant has a line already"),
    ] {
        let error = Table::parse(text).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

/// The profiles of both software devices are what these report, where they are present.
#[test]
fn profiles_of_software_devices_are_theirs() {
    let demanded = std::env::var("WAVELANE_REQUIRE_DEVICES").unwrap_or_default();
    let devices = gpu::devices();
    for (device, name) in [("llvmpipe", "lavapipe"), ("SwiftShader", "swiftshader")] {
        match devices.iter().find(|d| d.name.contains(device) && d.backend == "vulkan") {
            Some(found) => assert_eq!(profile(name).1.caps, found.caps, "{device}"),
            None => assert!(!demanded.contains(device), "{device} is demanded and absent"),
        }
    }
}
