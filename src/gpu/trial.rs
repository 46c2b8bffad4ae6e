//! One node of a plan by itself, on operands made up for it: what proving and tuning run.

use std::sync::{Arc, OnceLock};

use half::f16;

use super::budget::Allowance;
use super::check::{Worst, worst};
use super::{Gpu, Runner, WeightStore};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, GraphBuilder, Node, Origin, ValueId};
use crate::kernel::Extremes;
use crate::ops::{Input, Tolerance};
use crate::plan::{Plan, Request};
use crate::shape::{Shape, Symbols, TensorType};
use crate::tensor::example::Numbers;
use crate::tensor::{Data, Tensor, Weight};

/// A graph of one node with inputs for it. Weights are the model's own, or their first rows.
pub struct Trial {
    graph: Arc<Graph>,
    inputs: Vec<Tensor>,
    /// Whether all its weights are whole, as in the graph that it was taken from.
    of_model: bool,
    /// What states hold before, in the graph's order.
    states: Vec<Tensor>,
    fill: Fill,
    expected: OnceLock<Expected>,
}

/// What the reference makes of a trial.
struct Expected {
    /// The inputs of the trial, or with zeros for all integers where the reference refuses those.
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    tolerances: Vec<Tolerance>,
}

/// What floats of operands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fill {
    /// Numbers of [-1, 1).
    Units,
    /// Zeros of both signs, the least magnitudes of f16, normal and not, some of the largest, and units between them.
    Edges,
    /// Numbers that are not finite or below the normal ones in every other row of the first operand, or in all of all operands, as
    /// far as the op promises anything ([`Extremes`]), and units between them.
    Odd,
}

impl Trial {
    /// Step `step` of a plan with its own shapes.
    ///
    /// # Errors
    /// [`Error::Invalid`] when plan and graph do not belong together.
    pub fn of_step(graph: &Graph, plan: &Plan, step: usize) -> Result<Self> {
        let node = &graph.nodes[plan.steps[step].node];
        Trial::with_shapes(graph, node, &shapes(plan, node), Fill::Units)
    }

    /// The same with shapes made smaller until the operations are at most `flops`, as far as that can be had.
    ///
    /// # Errors
    /// As [`Trial::of_step`].
    pub fn of_step_within(graph: &Graph, plan: &Plan, step: usize, flops: u64) -> Result<Self> {
        let node = &graph.nodes[plan.steps[step].node];
        let rule = node.op.rule();
        let mut inputs = shapes(plan, node);
        let mut outputs: Vec<Vec<usize>> = node.outputs.iter().map(|id| plan.values[id.0].shape.clone()).collect();
        while rule.flops(&inputs, &outputs) > flops {
            let Some(less) = outputs.first().and_then(|output| rule.halved(&inputs, output)) else { break };
            let ty = |(id, shape): (&ValueId, &Vec<usize>)| TensorType::new(graph.value(*id).ty.dtype, &shape[..]);
            let types: Vec<TensorType> = node.inputs.iter().zip(&less).map(ty).collect();
            let made = rule.infer(&types.iter().collect::<Vec<_>>())?;
            (inputs, outputs) = (less, made.iter().map(|ty| ty.shape.resolve(&Symbols::new())).collect::<Result<_>>()?);
        }
        Trial::with_shapes(graph, node, &inputs, Fill::Units)
    }

    /// The only node of a graph whose shapes are constant.
    ///
    /// # Errors
    /// [`Error::Request`] for a shape that is not constant.
    pub fn of_graph(graph: &Graph, fill: Fill) -> Result<Self> {
        let [node] = &graph.nodes[..] else {
            return Err(Error::invalid("trial", format!("a graph of {} nodes", graph.nodes.len())));
        };
        let shape = |id: &ValueId| graph.value(*id).ty.shape.resolve(&Symbols::new());
        Trial::with_shapes(graph, node, &node.inputs.iter().map(shape).collect::<Result<Vec<_>>>()?, fill)
    }

    fn with_shapes(graph: &Graph, node: &Node, shapes: &[Vec<usize>], fill: Fill) -> Result<Self> {
        let mut b = GraphBuilder::new();
        let mut ids = Vec::with_capacity(shapes.len());
        let (mut inputs, mut states) = (Vec::new(), Vec::new());
        let rule = node.op.rule();
        let updated = |i: usize| rule.updates().iter().any(|(_, input)| *input == i);
        let mut of_model = true;
        let mut floats = 0;
        for (i, (id, shape)) in node.inputs.iter().zip(shapes).enumerate() {
            let value = graph.value(*id);
            if let Some(first) = node.inputs[..i].iter().position(|other| other == id) {
                ids.push(ids[first]);
                continue;
            }
            let (name, dtype) = (format!("operand {i}"), value.ty.dtype);
            if let Origin::Weight(weight) = &value.origin {
                of_model &= weight.shape() == shape;
                ids.push(b.weight(name, first_rows(weight, shape)?));
                continue;
            }
            let among = Among::of(fill, rule.extremes(), floats, updated(i));
            floats += usize::from(matches!(dtype, DType::F32 | DType::F16));
            let index = |e| rule.example_index(shapes, i, e);
            let tensor = example(dtype, shape, among, i as u64, index, |x| rule.example_number(i, x))?;
            ids.push(if updated(i) {
                states.push(tensor);
                b.state(name, dtype, Shape::from(&shape[..]))
            } else {
                inputs.push(tensor);
                b.input(name, dtype, Shape::from(&shape[..]))
            });
        }
        for output in b.node(node.name.clone(), node.op.clone(), &ids)? {
            b.output(output);
        }
        Ok(Trial { graph: b.finish()?.into(), inputs, of_model, states, fill, expected: OnceLock::new() })
    }

    /// The inputs with zeros for all integers.
    fn without_indices(&self) -> Result<Vec<Tensor>> {
        let zeros = |t: &Tensor| match t.dtype() {
            DType::U32 | DType::I64 => Tensor::zeros(t.dtype(), t.shape()),
            _ => Ok(t.clone()),
        };
        self.inputs.iter().map(zeros).collect()
    }

    /// What the reference makes of it; computed once.
    fn expected(&self) -> Result<&Expected> {
        if let Some(known) = self.expected.get() {
            return Ok(known);
        }
        let expected = match self.reference(self.inputs.clone()) {
            // Indices that were no sound ones.
            Err(Error::Request(_) | Error::Shape { .. } | Error::Unsupported(_)) => self.reference(self.without_indices()?)?,
            result => result?,
        };
        Ok(self.expected.get_or_init(|| expected))
    }

    fn reference(&self, inputs: Vec<Tensor>) -> Result<Expected> {
        let node = &self.graph.nodes[0];
        let states: Vec<usize> = self.states();
        let operand = |id: &ValueId| match &self.graph.value(*id).origin {
            Origin::Weight(weight) => Some(Input::Weight(weight.clone())),
            Origin::State => Some(self.states[states.iter().position(|i| *i == id.0)?].clone().into()),
            _ => Some(inputs[self.graph.inputs.iter().position(|i| i == id)?].clone().into()),
        };
        let operands: Option<Vec<Input>> = node.inputs.iter().map(operand).collect();
        let operands = operands.ok_or_else(|| Error::invalid("trial", "an operand is missing"))?;
        let rule = node.op.rule();
        let outputs = rule.reference(operands.clone())?;
        let tolerances = rule.tolerance(&operands, &outputs)?;
        Ok(Expected { inputs, outputs, tolerances })
    }

    /// The values that are states.
    fn states(&self) -> Vec<usize> {
        let values = self.graph.values.iter().enumerate();
        values.filter(|(_, value)| matches!(value.origin, Origin::State)).map(|(i, _)| i).collect()
    }

    /// The graph of one node.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    fn runner(&self, gpu: &Gpu, weights: &Arc<WeightStore>) -> Result<(Runner, Request)> {
        let request = Request { symbols: Symbols::new(), outputs: (0..self.graph.outputs.len()).collect() };
        Ok((Runner::new(gpu, self.graph.clone(), weights.clone())?, request))
    }

    /// Compares the node on `gpu` with the reference. Whole weights are those in `weights`, which keeps what it had to upload; parts of
    /// them are brought to the device for this trial alone. Returns the plan that ran, and the largest error in units of its tolerance.
    ///
    /// # Errors
    /// [`Error::Check`] when they differ; [`Error::Request`] and [`Error::Shape`] when the reference does not take the operands.
    pub fn check(&self, gpu: &Gpu, weights: &Arc<WeightStore>) -> Result<(Arc<Plan>, f64)> {
        let expected = self.expected()?;
        let own = || WeightStore::new(gpu);
        let (mut runner, request) = self.runner(gpu, &if self.of_model { weights.clone() } else { own() })?;
        for (state, tensor) in self.states().into_iter().zip(&self.states) {
            runner.set_state(state, tensor)?;
        }
        let found = runner.run(&request, &expected.inputs)?;
        let plan = runner.plans().last().cloned().ok_or_else(|| Error::invalid("trial", "there is no plan"))?;
        let node = &self.graph.nodes[0];
        let mut largest = 0.0f64;
        for (i, (found, tolerance)) in found.iter().zip(&expected.tolerances).enumerate() {
            let worst = self.worst(found, &expected.outputs[i], tolerance)?;
            if worst.ratio() > 1.0 {
                let shape = expected.outputs[i].shape();
                let op = node.op.name();
                return Err(Error::Check(format!("{op}, output {i} {shape:?}, operands of {:?}: {worst}", self.fill)));
            }
            largest = largest.max(worst.ratio());
        }
        Ok((plan, largest))
    }

    /// The worst element of an output, as far as anything is promised of it ([`Extremes`]). What is below the normal numbers may have
    /// been taken for 0 anywhere. What is not a number although all operands are lies outside of what a function is defined on, where
    /// WGSL leaves the result open.
    fn worst(&self, found: &Tensor, expected: &Tensor, tolerance: &Tolerance) -> Result<Worst> {
        let (Data::F32(f), Data::F32(e)) = (found.data(), expected.data()) else { return worst(found, expected, tolerance) };
        let extremes = self.graph.nodes[0].op.rule().extremes();
        let (mut f, mut e, mut allowed) = (
            f.clone(),
            e.clone(),
            match tolerance {
                Tolerance::Absolute(allowed) => allowed.clone(),
                _ => vec![0.0; expected.len()],
            },
        );
        match (self.fill, extremes) {
            (Fill::Odd, Extremes::Kept) => {}
            (Fill::Odd, _) => {
                allowed.iter_mut().for_each(|a| *a += f32::MIN_POSITIVE);
                for (f, e) in f.iter_mut().zip(&mut e).filter(|(_, e)| !e.is_finite()) {
                    *e = f32::NAN;
                    *f = if extremes == Extremes::Apart || !f.is_finite() { f32::NAN } else { *f };
                }
            }
            _ if e.iter().all(|v| v.is_nan()) => {
                return Err(Error::Unsupported("no operand that was made up lies where the function is defined".into()));
            }
            _ => f.iter_mut().zip(&e).filter(|(_, e)| e.is_nan()).for_each(|(f, _)| *f = f32::NAN),
        }
        let [f, e] = [(found, f), (expected, e)].map(|(of, values)| Tensor::f32(of.shape(), values));
        worst(&f?, &e?, &Tolerance::Absolute(allowed))
    }

    /// Seconds of one run on `gpu`, the least of three measurements, or none as soon as it is clear that they exceed `limit`.
    /// `weights` are those of the model; `allowance` says how often a measurement repeats the run.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub(super) fn time(&self, gpu: &Gpu, weights: &Arc<WeightStore>, limit: f64, allowance: Allowance) -> Result<Option<f64>> {
        /// Seconds that a submit may take.
        const SUBMIT: f64 = 2e-3;
        let (mut runner, request) = self.runner(gpu, weights)?;
        runner.run(&request, &self.inputs)?;
        let executable = runner.executable(&request)?;
        let once = executable.time(1)?;
        // What a submit costs is in it, so it only tells what is far too slow.
        if once > 4.0 * limit + SUBMIT {
            return Ok(None);
        }
        let repetitions = allowance.repetitions(once);
        let mut least = f64::INFINITY;
        for _ in 0..3 {
            least = least.min(executable.time(repetitions)? / repetitions as f64);
        }
        Ok(Some(least))
    }
}

/// The shapes of a node's operands.
fn shapes(plan: &Plan, node: &Node) -> Vec<Vec<usize>> {
    node.inputs.iter().map(|id| plan.values[id.0].shape.clone()).collect()
}

/// The weight itself, or its first rows where `shape` has fewer.
fn first_rows(weight: &Weight, shape: &[usize]) -> Result<Weight> {
    if weight.shape() == shape {
        return Ok(weight.clone());
    }
    let refuse = || Error::invalid("trial", format!("{weight:?} cut to {shape:?}"));
    let (columns, rows) = (shape.last().copied().unwrap_or(1), shape.iter().rev().skip(1).product::<usize>());
    let bytes = weight.dtype().row_bytes(columns).and_then(|row| row.checked_mul(rows)).ok_or_else(refuse)?;
    let whole = if shape.len() > 1 { weight.row_bytes(0..rows.min(weight.rows())) } else { weight.bytes() };
    let mut own = whole.into_owned();
    own.truncate(bytes);
    // Too few are refused there.
    Weight::new(weight.dtype(), shape, Arc::new(own), 0..bytes)
}

/// What stands among the ordinary numbers of an operand.
#[derive(Clone, Copy)]
struct Among {
    numbers: &'static [f32],
    /// One in so many is one of these.
    one_in: u64,
    /// Whether every other row has none of them.
    every_other_row: bool,
}

impl Among {
    /// For a fill and what an op promises, among its float operand number `operand`. What an op updates is left ordinary.
    fn of(fill: Fill, extremes: Extremes, operand: usize, updated: bool) -> Self {
        let none = Among { numbers: &[], one_in: 1, every_other_row: false };
        match (fill, extremes) {
            _ if updated => none,
            (Fill::Units, _) => none,
            (Fill::Edges, _) => Among { numbers: extremes.edges(), one_in: 4, ..none },
            (Fill::Odd, Extremes::Kept) => Among { numbers: extremes.odd(), one_in: 4, ..none },
            // One of them in a row of a product spoils the row.
            (Fill::Odd, _) if operand == 0 => Among { numbers: extremes.odd(), one_in: 32, every_other_row: true },
            (Fill::Odd, _) => none,
        }
    }
}

/// An operand: made-up numbers, or indices.
fn example(
    dtype: DType,
    shape: &[usize],
    among: Among,
    seed: u64,
    index: impl Fn(usize) -> usize,
    defined: impl Fn(f32) -> f32,
) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    let columns = shape.last().copied().unwrap_or(1).max(1);
    let mut numbers = Numbers::new(seed);
    let mut number = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let wanted = !among.numbers.is_empty() && (!among.every_other_row || row % 2 == 0);
        // A row that has some has one at its beginning or its end.
        let sure = among.every_other_row && column == if row % 4 == 0 { columns - 1 } else { 0 };
        if wanted && (numbers.below(among.one_in) == 0 || sure) {
            return among.numbers[numbers.below(among.numbers.len() as u64) as usize];
        }
        defined(numbers.unit())
    };
    let data = match dtype {
        DType::F32 => Data::F32((0..n).map(number).collect()),
        DType::F16 => Data::F16((0..n).map(|i| f16::from_f32(number(i))).collect()),
        DType::U32 => Data::U32((0..n).map(|i| index(i) as u32).collect()),
        DType::I64 => Data::I64((0..n).map(|i| index(i) as i64).collect()),
        other => return Err(Error::invalid("trial", format!("an operand of {other}"))),
    };
    Tensor::new(shape, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceChoice;
    use crate::ops::Softmax;

    #[test]
    fn what_is_far_too_slow_is_timed_once() {
        let gpu = Gpu::open(&DeviceChoice::Best).expect("a device to test on; scripts/test.sh installs two");
        let mut b = GraphBuilder::new();
        let x = b.input("x", DType::F32, &[4, 64][..]);
        let y = b.one("y", Softmax { log: false }, &[x]).unwrap();
        b.output(y);
        let trial = Trial::of_graph(&b.finish().unwrap(), Fill::Units).unwrap();
        let submits = |limit: f64| {
            let gpu = gpu.with_caps(|_| {});
            let seconds = trial.time(&gpu, &WeightStore::new(&gpu), limit, Allowance::Steps(1)).unwrap();
            (seconds.is_some(), gpu.counters().submits)
        };
        let ((timed, all), (slow, few)) = (submits(f64::INFINITY), submits(-1.0));
        assert!(timed && !slow);
        // Without the three measurements of which the least counts.
        assert_eq!(all - few, 3);
    }
}
