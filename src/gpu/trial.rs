//! One node of a plan by itself, on operands made up for it: what proving and tuning run.

use std::sync::Arc;

use half::f16;

use super::{Gpu, Runner, WeightStore};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, GraphBuilder, Node, Origin, ValueId};
use crate::plan::{Plan, Request};
use crate::shape::{Shape, Symbols, TensorType};
use crate::tensor::example::Numbers;
use crate::tensor::{Data, Tensor, Weight};

/// A graph of one node with inputs for it. Weights are the model's own, or their first rows.
pub struct Trial {
    graph: Arc<Graph>,
    inputs: Vec<Tensor>,
    /// Whether all its weights are the model's, whole.
    of_model: bool,
}

/// What floats of operands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Numbers of [-1, 1).
    Units,
    /// Zeros of both signs, the least magnitudes of f16, normal and not, some of the largest, and units between them.
    Edges,
}

/// Edges among the numbers of [`Fill::Edges`]. The largest is still an f16 where a rotation adds two of them up.
const EDGES: [f32; 8] = [0.0, -0.0, 46000.0, -46000.0, 6.103_515_6e-5, 5.960_464_5e-8, 1.0, -1.0];

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
        let (mut ids, mut inputs) = (Vec::with_capacity(shapes.len()), Vec::new());
        let mut of_model = true;
        let updated = |i: usize| node.op.rule().updates().iter().any(|(_, input)| *input == i);
        for (i, (id, shape)) in node.inputs.iter().zip(shapes).enumerate() {
            let value = graph.value(*id);
            if let Some(first) = node.inputs[..i].iter().position(|other| other == id) {
                ids.push(ids[first]);
                continue;
            }
            let (name, dtype) = (format!("operand {i}"), value.ty.dtype);
            ids.push(match &value.origin {
                Origin::Weight(weight) => {
                    of_model &= weight.shape() == shape;
                    b.weight(name, first_rows(weight, shape)?)
                }
                _ if updated(i) => b.state(name, dtype, Shape::from(&shape[..])),
                _ => {
                    inputs.push(example(dtype, shape, fill, i as u64, |e| node.op.rule().example_index(shapes, i, e))?);
                    b.input(name, dtype, Shape::from(&shape[..]))
                }
            });
        }
        for output in b.node(node.name.clone(), node.op.clone(), &ids)? {
            b.output(output);
        }
        Ok(Trial { graph: b.finish()?.into(), inputs, of_model })
    }

    /// The inputs with zeros for all integers.
    fn without_indices(&self) -> Result<Vec<Tensor>> {
        let zeros = |t: &Tensor| match t.dtype() {
            DType::U32 | DType::I64 => Tensor::zeros(t.dtype(), t.shape()),
            _ => Ok(t.clone()),
        };
        self.inputs.iter().map(zeros).collect()
    }

    fn runner(&self, gpu: &Gpu, weights: &Arc<WeightStore>) -> Result<(Runner, Request)> {
        let request = Request { symbols: Symbols::new(), outputs: (0..self.graph.outputs.len()).collect() };
        Ok((Runner::new(gpu, self.graph.clone(), weights.clone())?, request))
    }

    /// Compares the node on `gpu` with the reference. Returns the plan that ran, and the largest error in units of its tolerance. The
    /// model's weights are those in `weights`; parts of them are brought to the device for the trial alone.
    ///
    /// # Errors
    /// [`Error::Check`] when they differ; [`Error::Request`] and [`Error::Shape`] when the reference does not take the operands.
    pub fn check(&self, gpu: &Gpu, weights: &Arc<WeightStore>) -> Result<(Arc<Plan>, f64)> {
        let own = || WeightStore::new(gpu);
        let (mut runner, request) = self.runner(gpu, &if self.of_model { weights.clone() } else { own() })?;
        let mut worst = 0.0f64;
        let mut check = |inputs: &[Tensor]| runner.check(&request, inputs, &mut |seen| worst = worst.max(seen.worst.ratio()));
        match check(&self.inputs) {
            // Indices that were no sound ones.
            Err(Error::Request(_) | Error::Shape { .. } | Error::Unsupported(_)) => check(&self.without_indices()?)?,
            result => result?,
        };
        let plan = runner.plans().last().cloned().ok_or_else(|| Error::invalid("trial", "there is no plan"))?;
        Ok((plan, worst))
    }

    /// Seconds of one run on `gpu`, the least of three measurements, or none as soon as it is clear that they exceed `limit`.
    /// `weights` are those of the model.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn time(&self, gpu: &Gpu, weights: &Arc<WeightStore>, limit: f64) -> Result<Option<f64>> {
        /// Seconds that a measurement should last: many times what a submit costs.
        const LASTING: f64 = 2e-3;
        let (mut runner, request) = self.runner(gpu, weights)?;
        runner.run(&request, &self.inputs)?;
        let executable = runner.executable(&request)?;
        let once = executable.time(1)?;
        // What a submit costs is in it, so it only tells what is far too slow.
        if once > 4.0 * limit + LASTING {
            return Ok(None);
        }
        let repetitions = (LASTING / once).ceil().clamp(1.0, 64.0) as usize;
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

/// An operand: made-up numbers, or indices.
fn example(dtype: DType, shape: &[usize], fill: Fill, seed: u64, index: impl Fn(usize) -> usize) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    let mut numbers = Numbers::new(seed);
    let mut number = || match fill {
        Fill::Edges if numbers.below(4) == 0 => EDGES[numbers.below(EDGES.len() as u64) as usize],
        _ => numbers.unit(),
    };
    let data = match dtype {
        DType::F32 => Data::F32((0..n).map(|_| number()).collect()),
        DType::F16 => Data::F16((0..n).map(|_| f16::from_f32(number())).collect()),
        DType::U32 => Data::U32((0..n).map(|i| index(i) as u32).collect()),
        DType::I64 => Data::I64((0..n).map(|i| index(i) as i64).collect()),
        other => return Err(Error::invalid("trial", format!("an operand of {other}"))),
    };
    Tensor::new(shape, data)
}
