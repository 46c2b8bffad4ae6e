//! Finds attention in two products with a softmax between them: what was three nodes or more becomes one that stores no scores.

use super::dead_code;
use super::fine::{Fine, dims};
use super::fuse_elementwise::substitute;
use super::rows::producers;
use crate::error::Result;
use crate::graph::{Graph, Node, Origin, Value, ValueId};
use crate::kernel::Expr;
use crate::ops::{BatchMatMul, DenseAttention, Op, Reshape, Softmax, Strided};
use crate::shape::{Dim, TensorType};

/// Fewer queries read keys and values only a few times, and for fewer keys the scores are small: products by themselves do both well.
const LEAST: usize = 16;
/// Functions and operators that a score is made with at most.
const MOST_WORK: usize = 32;

/// Returns the number of attentions found.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let (producers, uses) = (producers(graph), graph.uses());
    let mut found = 0;
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        // The value of the node, if nobody else reads it.
        let above = |id: ValueId| producers.get(&id).map(|at| &graph.nodes[*at]).filter(|_| uses[id.0] == 1);
        let Some((op, inputs, ty)) = Parts::find(&graph.values, node, &above).and_then(|parts| parts.fused(&graph.values)) else {
            nodes.push(node.clone());
            continue;
        };
        found += 1;
        let (out, name) = (node.outputs[0], node.name.clone());
        let to = graph.values[out.0].ty.clone();
        if ty == to {
            nodes.push(Node { name, op: op.into(), inputs, outputs: vec![out] });
            continue;
        }
        graph.values.push(Value { name: name.clone(), ty, origin: Origin::Node });
        let made = ValueId(graph.values.len() - 1);
        nodes.push(Node { name: name.clone(), op: op.into(), inputs, outputs: vec![made] });
        let shape = to.shape.0.iter().filter_map(Dim::constant).collect();
        nodes.push(Node { name, op: Reshape { shape }.into(), inputs: vec![made], outputs: vec![out] });
    }
    graph.nodes = nodes;
    dead_code::run(graph)?;
    Ok(found)
}

/// The nodes that are one attention.
struct Parts<'a> {
    products: (&'a BatchMatMul, &'a Node),
    /// What scores are made of, products being operand 0, and the other operands.
    score: (Expr, Vec<ValueId>),
    /// Dimensions of scores where the masks join them, and of weights where values do.
    scored: Vec<usize>,
    weighted: Vec<usize>,
    mixed: (&'a BatchMatMul, &'a Node),
}

impl<'a> Parts<'a> {
    fn find(values: &[Value], node: &'a Node, above: &impl Fn(ValueId) -> Option<&'a Node>) -> Option<Self> {
        let Op::BatchMatMul(mixed) = &node.op else { return None };
        let plain = !mixed.transpose_a && mixed.views[0].is_none() && mixed.scale == 1.0 && mixed.tail == Expr::operand(0);
        if !plain {
            return None;
        }
        // Reshapes that keep rows as they are.
        let columns = values[node.inputs[0].0].ty.shape.columns()?;
        let through = |mut id: ValueId| {
            loop {
                let node = above(id)?;
                match node.op {
                    Op::Reshape(_) if values[node.inputs[0].0].ty.shape.columns() == Some(columns) => id = node.inputs[0],
                    _ => return Some(node),
                }
            }
        };
        let softmax = through(node.inputs[0]).filter(|n| n.op == Op::Softmax(Softmax { log: false }))?;
        let last = through(softmax.inputs[0])?;
        let shape = |id: ValueId| dims(&values[id.0].ty);
        let product = |id: ValueId| {
            let node = through(id)?;
            let Op::BatchMatMul(op) = &node.op else { return None };
            Some((op, node))
        };
        let (products, scored, (score, masks)) = match &last.op {
            Op::BatchMatMul(op) => ((op, last), shape(last.outputs[0])?, (op.tail.clone(), last.inputs[2..].to_vec())),
            Op::Elementwise(op) => {
                let scored = shape(last.outputs[0])?;
                // Any operand may be the products.
                let (id, products) = last.inputs.iter().filter_map(|id| Some((*id, product(*id)?))).next()?;
                let (op_tail, rest) = (&products.0.tail, &products.1.inputs[2..]);
                // What the products' own tail reads lies as they do.
                if shape(id)? != scored || !rest.is_empty() && shape(products.1.outputs[0])? != scored {
                    return None;
                }
                (products, scored, substitute(op.plain()?, &last.inputs, id, op_tail, rest, 1))
            }
            _ => return None,
        };
        (score.size() <= MOST_WORK).then_some(Parts {
            products,
            score: (score, masks),
            scored,
            weighted: shape(node.inputs[0])?,
            mixed: (mixed, node),
        })
    }

    /// The op with its inputs, and the type of its output: rows of all parts are split into the dimensions that each of them needs.
    fn fused(&self, values: &[Value]) -> Option<(DenseAttention, Vec<ValueId>, TensorType)> {
        let (products, mixed) = (&self.products, &self.mixed);
        let made = dims(&values[products.1.outputs[0].0].ty)?;
        let (made, scored, weighted) = (made.split_last()?.1, self.scored.split_last()?.1, self.weighted.split_last()?.1);
        // More values than weights would need weights for each.
        if dims(&values[mixed.1.outputs[0].0].ty)?.split_last()?.1 != weighted {
            return None;
        }
        let fine = Fine::of(&[made, scored, weighted])?;
        let (queries, keys) = (*scored.last()?, *self.scored.last()?);
        if fine.0.last() != Some(&queries) || queries < LEAST || keys < LEAST {
            return None;
        }
        let operand = |(op, node): &(&BatchMatMul, &Node), i: usize, turned: bool| {
            let mut seen = op.views[i].clone().or_else(|| Some(Strided::of(&dims(&values[node.inputs[i].0].ty)?)))?;
            if turned {
                let n = seen.shape.len();
                seen.shape.swap(n.checked_sub(2)?, n - 1);
                seen.steps.swap(n - 2, n - 1);
            }
            Some(seen)
        };
        let q = operand(products, 0, products.0.transpose_a)?;
        let (rows, [depth]) = q.shape.split_last_chunk()?;
        let q = q.reshaped(&[fine.split(rows, made)?, vec![*depth]].concat())?;
        // Keys and values are the same for all that was joined to rows.
        let shared = |x: Strided, rows: &[usize]| {
            let (own, inner) = x.shape.split_last_chunk::<2>()?;
            let shape = fine.split(&[own, &[1]].concat(), rows)?;
            x.reshaped(&[shape.split_last()?.1, inner].concat())
        };
        let k = shared(operand(products, 1, !products.0.transpose_b)?, made)?;
        let v = shared(operand(mixed, 1, mixed.0.transpose_b)?, weighted)?;
        let [width] = *v.shape.last_chunk()?;
        let (score, masks) = self.score.clone();
        let batches = fine.0.split_last()?.1.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
        if !DenseAttention::supports([batches, queries, keys, *depth, width], masks.len()) {
            return None;
        }
        let mut inputs = vec![products.1.inputs[0], products.1.inputs[1], mixed.1.inputs[1]];
        let mut views = vec![q, k, v];
        for id in masks {
            let own = dims(&values[id.0].ty)?;
            // A mask of one number has no dimensions.
            let (last, rows) = own.split_last().unwrap_or((&1, &[]));
            views.push(Strided::of(&own).reshaped(&[fine.split(rows, scored)?, vec![*last]].concat())?);
            inputs.push(id);
        }
        let as_it_lies = |(view, id): (Strided, &ValueId)| {
            let plain = dims(&values[id.0].ty).is_some_and(|shape| view == Strided::of(&shape));
            (!plain).then_some(view)
        };
        let views = views.into_iter().zip(&inputs).map(as_it_lies).collect();
        let op = DenseAttention { scale: products.0.scale, score, views };
        let types: Vec<&TensorType> = inputs.iter().map(|id| &values[id.0].ty).collect();
        let ty = Op::from(op.clone()).rule().infer(&types).ok()?.pop()?;
        Some((op, inputs, ty))
    }
}
