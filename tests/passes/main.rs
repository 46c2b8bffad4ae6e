//! The passes that recognise and move: what a graph looks like afterwards, that it still computes the same, and what must stay.

mod attention;
mod constants;
mod functions;
mod halves;
mod norms;
mod packing;
mod quantized;
#[path = "../support/random.rs"]
mod random;
mod softmax;
mod views;

use random::Numbers;
use wavelane::dtype::DType;
use wavelane::graph::{Graph, GraphBuilder, ValueId, interpreter};
use wavelane::kernel::Expr;
use wavelane::kernel::expr::{Function, Operator};
use wavelane::ops::{Elementwise, Op, Reduce, Reduction, Reshape};
use wavelane::plan::passes;
use wavelane::shape::{Dim, Symbols};
use wavelane::tensor::{Tensor, Weight};

/// A graph builder with short names for what models are written with.
#[derive(Default)]
pub struct Model(pub GraphBuilder);

impl Model {
    pub fn input(&mut self, shape: &[usize]) -> ValueId {
        self.0.input("x", DType::F32, shape)
    }

    pub fn weight(&mut self, shape: &[usize], seed: u64) -> ValueId {
        let values = Numbers::new(seed).units(shape.iter().product());
        self.0.weight(format!("w{seed}"), Weight::from_f32(shape, &values).unwrap())
    }

    pub fn number(&mut self, x: f32) -> ValueId {
        self.0.weight("number", Weight::from_f32(&[], &[x]).unwrap())
    }

    pub fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.0.one("node", op, inputs).unwrap()
    }

    pub fn call(&mut self, f: Function, a: ValueId) -> ValueId {
        self.node(Elementwise::unary(f), &[a])
    }

    pub fn binary(&mut self, o: Operator, a: ValueId, b: ValueId) -> ValueId {
        self.node(Elementwise::binary(o), &[a, b])
    }

    /// `a o x` with the number as an operand.
    pub fn with(&mut self, o: Operator, a: ValueId, x: f32) -> ValueId {
        let x = self.number(x);
        self.binary(o, a, x)
    }

    pub fn reduce(&mut self, kind: Reduction, x: ValueId, axis: usize) -> ValueId {
        self.node(Reduce { kind, axes: axis..axis + 1 }, &[x])
    }

    pub fn mean(&mut self, x: ValueId, axis: usize, n: usize) -> ValueId {
        let sum = self.reduce(Reduction::Sum, x, axis);
        self.node(Elementwise::from(Expr::product(Expr::operand(0), Expr::float(1.0 / n as f32))), &[sum])
    }

    pub fn reshape(&mut self, x: ValueId, shape: &[usize]) -> ValueId {
        self.node(Reshape { shape: shape.to_vec() }, &[x])
    }

    pub fn finish(mut self, output: ValueId) -> Graph {
        self.0.output(output);
        self.0.finish().unwrap()
    }
}

/// Runs one pass and returns how much it changed.
pub fn pass(name: &str, graph: &mut Graph) -> usize {
    let (_, run) = passes::PASSES.iter().find(|(n, _)| *n == name).unwrap();
    run(graph).unwrap()
}

/// How often a graph has the op.
pub fn count(graph: &Graph, name: &str) -> usize {
    graph.nodes.iter().filter(|n| n.op.name() == name).count()
}

/// The outputs for inputs that look random.
pub fn outputs(graph: &Graph, seed: u64) -> Vec<Tensor> {
    let mut numbers = Numbers::new(seed);
    let input = |id: &ValueId| {
        let shape: Vec<usize> = graph.value(*id).ty.shape.0.iter().filter_map(Dim::constant).collect();
        let n = shape.iter().product();
        Tensor::f32(&shape, numbers.units(n).iter().map(|x| x * 3.0).collect()).unwrap()
    };
    let inputs = graph.inputs.iter().map(input).collect();
    interpreter::run(graph, &Symbols::new(), inputs, &mut interpreter::States::default()).unwrap()
}

/// The graph after all passes, which must compute the same within `tolerance` of the largest result.
pub fn optimized(before: Graph, tolerance: f32) -> Graph {
    let (after, _) = passes::optimize(before.clone()).unwrap();
    for seed in 1..4 {
        for (old, new) in outputs(&before, seed).iter().zip(&outputs(&after, seed)) {
            assert_eq!(old.shape(), new.shape());
            let largest = old.to_f32().iter().fold(1.0f32, |m, x| m.max(x.abs()));
            let apart = old.to_f32().iter().zip(new.to_f32()).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(apart <= tolerance * largest, "off by {apart} of {largest} in\n{before}\n{after}");
        }
    }
    after
}
