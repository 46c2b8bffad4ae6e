//! Runs one-op graphs on devices and compares with the reference. It owns the variant families.

use std::sync::{Arc, Mutex, OnceLock};

use wavelane::dtype::DType;
use wavelane::gpu::{Gpu, Runner, WeightStore};
use wavelane::graph::GraphBuilder;
use wavelane::kernel::caps::{Caps, Width};
use wavelane::ops::Op;
use wavelane::plan::{Plan, Request};
use wavelane::shape::{Shape, Symbols};
use wavelane::tensor::{Tensor, Weight};

use crate::random::{Numbers, weight_bytes};

/// An operand of a case.
#[derive(Clone)]
pub enum Operand {
    Input(Tensor),
    Weight(Weight),
    /// A state, zero at first.
    State(DType, Vec<usize>),
}

/// One op with its operands.
pub struct Case {
    pub name: String,
    pub op: Op,
    pub operands: Vec<Operand>,
}

impl Case {
    pub fn new(name: impl Into<String>, op: impl Into<Op>, operands: Vec<Operand>) -> Self {
        Case { name: name.into(), op: op.into(), operands }
    }
}

/// The devices to test on, opened once.
pub fn devices() -> Vec<Gpu> {
    static OPEN: OnceLock<Vec<Gpu>> = OnceLock::new();
    OPEN.get_or_init(crate::devices::open).clone()
}

/// The device as each of the families that lowering distinguishes; together they make it pick every variant.
pub fn families(gpu: &Gpu) -> Vec<Gpu> {
    let family = |width| [gpu.with_caps(|c| c.width = width), gpu.with_caps(|c| (c.width, c.subgroup) = (width, None))];
    [family(Width::Wide), family(Width::Narrow)].concat()
}

/// Checks every case on every device in every family.
pub fn check(cases: &[Case]) {
    check_with(cases, |_| {});
}

/// Like [`check`], with limits lowered further.
pub fn check_with(cases: &[Case], limit: fn(&mut Caps)) {
    // Software devices use all cores for one dispatch; two tests at a time would only take turns.
    static ONE: Mutex<()> = Mutex::new(());
    let _turn = ONE.lock().unwrap_or_else(|e| e.into_inner());
    assert!(!cases.is_empty());
    let mut failures = Vec::new();
    for gpu in devices().iter().flat_map(families) {
        let gpu = gpu.with_caps(limit);
        for case in cases {
            if let Err(e) = run(&gpu, case) {
                let caps = &gpu.info().caps;
                failures.push(format!("{} [{:?}, subgroups {:?}]: {e}", case.name, caps.width, caps.subgroup));
            }
        }
    }
    assert!(failures.is_empty(), "{} of the checks failed:\n{}", failures.len(), failures.join("\n"));
}

/// Checks a case on a device; returns the plan that ran.
pub fn run(gpu: &Gpu, case: &Case) -> wavelane::Result<Arc<Plan>> {
    let mut b = GraphBuilder::new();
    let mut inputs = Vec::new();
    let mut ids = Vec::new();
    for (i, operand) in case.operands.iter().enumerate() {
        ids.push(match operand {
            Operand::Input(t) => {
                inputs.push(t.clone());
                b.input(format!("input{i}"), t.dtype(), Shape::from(t.shape()))
            }
            Operand::Weight(w) => b.weight(format!("weight{i}"), w.clone()),
            Operand::State(dtype, shape) => b.state(format!("state{i}"), *dtype, Shape::from(&shape[..])),
        });
    }
    for out in b.node("case", case.op.clone(), &ids)? {
        b.output(out);
    }
    let graph: Arc<wavelane::graph::Graph> = b.finish()?.into();
    let outputs = (0..graph.outputs.len()).collect();
    let mut runner = Runner::new(gpu, graph, WeightStore::new(gpu))?;
    runner.check(&Request { symbols: Symbols::new(), outputs }, &inputs, &mut |_| {})?;
    Ok(runner.plans().last().cloned().expect("what ran has a plan"))
}

/// An input of numbers in [-1, 1).
pub fn input(shape: &[usize], seed: u64) -> Operand {
    let n = shape.iter().product();
    Operand::Input(Tensor::f32(shape, Numbers::new(seed).units(n)).unwrap())
}

/// An input of u32.
pub fn ids(values: &[u32]) -> Operand {
    Operand::Input(Tensor::u32(&[values.len()], values.to_vec()).unwrap())
}

/// A weight of any element type: random codes, with scales and values of sane sizes.
pub fn weight(dtype: DType, rows: usize, columns: usize, seed: u64) -> Operand {
    let bytes = weight_bytes(dtype, rows, columns, seed, 0.05);
    let n = bytes.len();
    Operand::Weight(Weight::new(dtype, &[rows, columns], Arc::new(bytes), 0..n).unwrap())
}

/// A one-dimensional f32 weight.
pub fn vector(n: usize, seed: u64) -> Operand {
    Operand::Weight(Weight::from_f32(&[n], &Numbers::new(seed).units(n)).unwrap())
}
