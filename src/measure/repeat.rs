//! Times one op on a device without the cost of the host.

use std::sync::Arc;

use super::Effort;
use super::timing::{Sample, per_repetition, seconds};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Runner, WeightStore};
use crate::graph::{Graph, GraphBuilder, ValueId};
use crate::ops::{Embed, GatherRows, Op, Reshape};
use crate::plan::Request;
use crate::shape::{Shape, Symbols, TensorType};
use crate::tensor::example::{Numbers, weight_bytes};
use crate::tensor::{Tensor, Weight};

/// Most repetitions of which each takes the result of the one before: products with dense random weights grow some
/// forty-fold each time and must not overflow.
const CHAIN: usize = 16;
/// Rows of the table that operand 0 is taken from.
const TABLE: usize = 8;

/// An operand after the first.
#[derive(Clone)]
pub enum Operand {
    /// A weight of random values. Repetitions take `copies` of it in turn, so that none finds its own in a cache.
    Weight {
        /// Its element type.
        dtype: DType,
        /// Its shape.
        shape: Vec<usize>,
        /// How many there are.
        copies: usize,
    },
    /// A cache that holds zeros; no kernel looks at what it reads to decide what to do.
    Cache(DType, Vec<usize>),
    /// Indices.
    Indices(Tensor),
}

/// One op with its operands.
pub struct Case {
    /// The op.
    pub op: Op,
    /// Shape of operand 0, f32.
    pub x: Vec<usize>,
    /// The other operands.
    pub rest: Vec<Operand>,
}

/// Times the op, and names the shader that it was lowered to.
///
/// A run holds many repetitions, as nodes of one graph. Where the result has the type of operand 0 it becomes operand 0 of
/// the next, as in a model; else all start from the same. Operand 0 is made on the device from a few indices, and of long
/// results one row is read back, so that little is transferred. What a run without a repetition takes is taken off.
///
/// # Errors
/// Those of building, planning and running the graph.
pub fn time(gpu: &Gpu, case: &Case, effort: &Effort) -> Result<(Sample, String)> {
    let weights = case.rest.iter().map(weights).collect::<Result<Vec<_>>>()?;
    let store = WeightStore::new(gpu);
    let mut shader = String::new();
    let mut prepare = |n: usize| {
        let (graph, inputs) = build(case, &weights, n)?;
        let request = Request { symbols: Symbols::new(), outputs: (0..graph.outputs.len()).collect() };
        let mut runner = Runner::new(gpu, Arc::new(graph), store.clone())?;
        let plan = runner.prepare(&request, &mut |_, _| {})?;
        let step = plan.steps.iter().find(|s| s.op == case.op.name());
        shader = step.and_then(|s| s.dispatches.first()).map_or_else(String::new, |d| d.kernel.shader.to_string());
        Ok::<_, Error>(move || {
            runner.run(&request, &inputs)?;
            Ok::<_, Error>(())
        })
    };
    let mut run = prepare(0)?;
    run()?;
    let fixed = Sample::take(effort.runs, || seconds(&mut run))?.median;
    let sample = per_repetition(effort, fixed, prepare)?;
    Ok((sample, shader))
}

/// Bytes that several weights share, each being the owner of its own: weights with one owner are one on the device.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The copies of a weight; none of other operands.
fn weights(operand: &Operand) -> Result<Vec<Weight>> {
    let Operand::Weight { dtype, shape, copies } = operand else { return Ok(Vec::new()) };
    let columns = shape.last().copied().unwrap_or(1);
    let rows = shape.iter().product::<usize>() / columns;
    // Scales so small keep products of quantised weights from growing faster than those of dense ones.
    let bytes = Arc::new(weight_bytes(*dtype, rows, columns, 1, 1e-3));
    let copy = |_| Weight::new(*dtype, shape, Arc::new(Shared(bytes.clone())), 0..bytes.len());
    (0..*copies).map(copy).collect()
}

/// Rows and columns of a tensor.
fn matrix(shape: &[usize]) -> [usize; 2] {
    let columns = shape.last().copied().unwrap_or(1);
    [shape.iter().product::<usize>() / columns, columns]
}

/// The shape of the op's first result.
fn result_shape(case: &Case) -> Result<Vec<usize>> {
    let rest = case.rest.iter().map(|operand| match operand {
        Operand::Weight { dtype, shape, .. } | Operand::Cache(dtype, shape) => TensorType::new(*dtype, &shape[..]),
        Operand::Indices(tensor) => TensorType::new(tensor.dtype(), tensor.shape()),
    });
    let types: Vec<TensorType> = [TensorType::new(DType::F32, &case.x[..])].into_iter().chain(rest).collect();
    let results = case.op.rule().infer(&types.iter().collect::<Vec<_>>())?;
    results.first().ok_or_else(|| Error::invalid("measurement", "the op has no result"))?.shape.resolve(&Symbols::new())
}

/// The graph of `n` repetitions with its inputs. Values that are no results come first and are the same for every `n`, so
/// that all graphs of a case share their weights.
fn build(case: &Case, weights: &[Vec<Weight>], n: usize) -> Result<(Graph, Vec<Tensor>)> {
    let mut b = GraphBuilder::new();
    let [t, columns] = matrix(&case.x);
    let table = Weight::from_f32(&[TABLE, columns], &Numbers::new(2).units(TABLE * columns))?;
    let table = b.weight("table", table);
    let indices = Tensor::u32(&[t], (0..t).map(|i| (i % TABLE) as u32).collect())?;
    let mut inputs = vec![indices, Tensor::u32(&[1], vec![0])?];
    let (indices, row) = (b.input("indices", DType::U32, [t.into()]), b.input("row", DType::U32, [1.into()]));
    let mut rest: Vec<Vec<ValueId>> = Vec::new();
    for (i, (operand, weights)) in case.rest.iter().zip(weights).enumerate() {
        rest.push(match operand {
            Operand::Weight { .. } => {
                let copy = |(copy, weight): (usize, &Weight)| b.weight(format!("weight {i}.{copy}"), weight.clone());
                weights.iter().enumerate().map(copy).collect()
            }
            Operand::Cache(dtype, shape) => vec![b.state(format!("cache {i}"), *dtype, Shape::from(&shape[..]))],
            Operand::Indices(tensor) => {
                inputs.push(tensor.clone());
                vec![b.input(format!("indices {i}"), DType::U32, Shape::from(tensor.shape()))]
            }
        });
    }

    let result = result_shape(case)?;
    let rows = b.one("rows", Embed, &[indices, table])?;
    let first = b.one("x", Reshape { shape: case.x.clone() }, &[rows])?;
    let mut x = first;
    if n == 0 {
        let part = b.one("row", GatherRows, &[rows, row])?;
        b.output(part);
    }
    for i in 0..n {
        let operands: Vec<ValueId> = [x].into_iter().chain(rest.iter().map(|turn| turn[i % turn.len()])).collect();
        let results = b.node(format!("repetition {i}"), case.op.clone(), &operands)?;
        if matches!(case.op, Op::ArgMax(_) | Op::TopK(_)) {
            results.into_iter().for_each(|result| b.output(result));
        } else if result != case.x || (i + 1) % CHAIN == 0 || i + 1 == n {
            let rows = b.one(format!("rows {i}"), Reshape { shape: matrix(&result).into() }, &[results[0]])?;
            let part = b.one(format!("row {i}"), GatherRows, &[rows, row])?;
            b.output(part);
            x = first;
        } else {
            x = results[0];
        }
    }
    Ok((b.finish()?, inputs))
}
