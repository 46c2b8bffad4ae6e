//! The static gate, without a GPU: every shader variant that the planner may pick for a device is valid, translates into every
//! language of drivers, keeps to the limits of the devices that it is picked for, and costs what the committed table says.

mod counting;
mod limits;
mod spirv;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use wavelane::dtype::DType;
use wavelane::error::Error;
use wavelane::gate::{self, Feature, Profile, Report, Table, Target, profiles};
use wavelane::graph::GraphBuilder;
use wavelane::kernel::caps::{Caps, Width};
use wavelane::kernel::linker;
use wavelane::ops::pool::{PoolAxis, PoolKind};
use wavelane::ops::{Op, Pool};
use wavelane::plan;
use wavelane::shape::Symbols;

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(profiles::all);
static REPORTS: LazyLock<Vec<Report>> =
    LazyLock::new(|| gate::reports(gate::variants(&PROFILES).unwrap()).unwrap_or_else(|e| panic!("{e}")));

/// Fails with all of them, where there are some.
fn none(found: &[String], advice: &str) {
    assert!(found.is_empty(), "{} found:\n{}\n{advice}", found.len(), found.join("\n"));
}

#[test]
fn every_op_is_covered() {
    let names: BTreeSet<&str> = gate::graphs().iter().flat_map(|g| g.nodes.iter().map(|n| n.op.name())).collect();
    assert_eq!(names.len(), Op::NAMES.len(), "a new op needs its graphs in src/gate/cases: {names:?}");
    let kernels = REPORTS.iter().map(|report| &report.variant.kernel);
    let used: BTreeSet<String> =
        kernels.flat_map(|k| [k.shader.to_string()].into_iter().chain(k.providers.iter().map(|p| p.to_string()))).collect();
    for (stem, _) in linker::FILES {
        assert!(used.contains(*stem) || linker::LIBRARY.contains(stem), "no plan uses shaders/{stem}.wgsl");
    }
}

#[test]
fn every_variant_keeps_to_the_profiles_that_it_is_planned_for() {
    assert!(REPORTS.len() > 1000, "only {} variants were planned", REPORTS.len());
    none(&gate::problems(&REPORTS, &PROFILES), "");
    let adapters = PROFILES.iter().filter(|profile| profile.is_adapter()).count();
    println!("{} variants on {} profiles, {adapters} of real adapters", REPORTS.len(), PROFILES.len());
    for target in Target::ALL {
        let refused = REPORTS.iter().filter(|report| report.refusals.iter().any(|(t, _)| *t == target)).count();
        println!("{}: {} translated, {refused} not", target.name(), REPORTS.len() - refused);
    }
    for feature in Feature::ALL {
        println!("{feature}: {} variants", REPORTS.iter().filter(|report| report.features.contains(&feature)).count());
    }
}

#[test]
fn every_variant_costs_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(gate::PATH);
    let committed = Table::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let departures = committed.departures(&Table::of(&REPORTS).unwrap());
    none(&departures, "where this is meant: wavelane shaders --update");
}

#[test]
fn windows_beyond_the_loops_of_narrow_devices_are_refused() {
    let axis = PoolAxis { windows: 1, kernel: 256, stride: 1, dilation: 1, begin: 0, end: 0 };
    let kind = PoolKind::Average { count_include_pad: false };
    let mut b = GraphBuilder::new();
    let x = b.input("x", DType::F32, &[1, 1, 256, 256][..]);
    b.node("pool", Pool { kind, axes: vec![axis; 2] }, &[x]).unwrap().into_iter().for_each(|id| b.output(id));
    let graph = b.finish().unwrap();
    let plan = |width| plan::compile(&graph, &Symbols::new(), &Caps { width, ..Caps::plain() });
    assert!(plan(Width::Wide).is_ok());
    assert!(matches!(plan(Width::Narrow), Err(Error::Unsupported(_))));
}
