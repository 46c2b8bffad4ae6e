//! Runs one-op graphs on devices and compares with the reference. It owns the variant families.

use std::sync::{Mutex, OnceLock};

use half::f16;
use wavelane::dtype::DType;
use wavelane::gpu::{Gpu, Runner, WeightStore};
use wavelane::graph::GraphBuilder;
use wavelane::kernel::caps::{Caps, Width};
use wavelane::ops::Op;
use wavelane::plan::Request;
use wavelane::shape::{Shape, Symbols};
use wavelane::tensor::{Tensor, Weight};

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

/// A family of variants: what lowering is made to believe of a device.
type Family = (&'static str, fn(&mut Caps));

/// The families that lowering distinguishes; together they make it pick every variant.
const FAMILIES: [Family; 4] = [
    ("wide", |c| c.width = Width::Wide),
    ("wide plain", |c| (c.width, c.subgroup) = (Width::Wide, None)),
    ("narrow", |c| c.width = Width::Narrow),
    ("narrow plain", |c| (c.width, c.subgroup) = (Width::Narrow, None)),
];

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
    for gpu in devices() {
        for (family, change) in FAMILIES {
            let gpu = gpu.with_caps(|c| {
                change(c);
                limit(c);
            });
            for case in cases {
                if let Err(e) = run(&gpu, case) {
                    failures.push(format!("{} [{family}, {}]: {e}", case.name, gpu.info().name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of the checks failed:\n{}", failures.len(), failures.join("\n"));
}

fn run(gpu: &Gpu, case: &Case) -> wavelane::Result<()> {
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
    let graph: std::sync::Arc<wavelane::graph::Graph> = b.finish()?.into();
    let outputs = (0..graph.outputs.len()).collect();
    let mut runner = Runner::new(gpu, graph, WeightStore::new(gpu))?;
    runner.check(&Request { symbols: Symbols::new(), outputs }, &inputs, &mut |_| {}).map(|_| ())
}

/// Numbers that look random and are the same everywhere (splitmix64, Steele et al. 2014).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.word() % n
    }

    /// A number of [-1, 1).
    pub fn unit(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn units(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit()).collect()
    }
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
    let mut numbers = Numbers::new(seed);
    let (block, size) = dtype.block();
    let blocks = rows * columns / block;
    let mut bytes: Vec<u8> = (0..blocks * size).map(|_| numbers.word() as u8).collect();
    // Where a block keeps its f16 numbers.
    let scales: &[usize] = match dtype {
        DType::Q4_0 | DType::Q5_0 | DType::Q8_0 => &[0],
        DType::Q4_1 | DType::Q5_1 | DType::Q4_K | DType::Q5_K => &[0, 2],
        DType::Q2_K => &[80, 82],
        DType::Q3_K => &[108],
        DType::Q6_K => &[208],
        _ => &[],
    };
    for block in bytes.chunks_exact_mut(size) {
        for at in scales {
            let scale = f16::from_f32(numbers.unit() * 0.05);
            block[*at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
        match dtype {
            DType::F32 => block.copy_from_slice(&numbers.unit().to_le_bytes()),
            DType::F16 => block.copy_from_slice(&f16::from_f32(numbers.unit()).to_le_bytes()),
            DType::BF16 => block.copy_from_slice(&half::bf16::from_f32(numbers.unit()).to_le_bytes()),
            _ => {}
        }
    }
    let n = bytes.len();
    Operand::Weight(Weight::new(dtype, &[rows, columns], std::sync::Arc::new(bytes), 0..n).unwrap())
}

/// A one-dimensional f32 weight.
pub fn vector(n: usize, seed: u64) -> Operand {
    Operand::Weight(Weight::from_f32(&[n], &Numbers::new(seed).units(n)).unwrap())
}
