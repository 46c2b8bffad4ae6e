//! Lets an elementwise node read two halves that were joined for it from where they are: in `x cos + join(-b, a) sin`, a rotary
//! embedding of `x` with the halves a and b (Su et al. 2021, arXiv:2104.09864), and in those whose pairs are neighbours.

use super::dead_code;
use super::fine::{Fine, dims};
use super::fuse_elementwise::{MOST_OPERANDS, MOST_WORK, substitute};
use super::rows::producers;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Graph, Node, Origin, Value, ValueId};
use crate::kernel::Expr;
use crate::kernel::expr::Operator;
use crate::ops::{Concat, Elementwise, Op, Reshape};
use crate::shape::TensorType;
use crate::tensor::Weight;

/// Stands for the operand that says which half an element is of, until there is such a value.
const WHICH: ValueId = ValueId(usize::MAX);

/// Returns the number of joins that went.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let (producers, uses) = (producers(graph), graph.uses());
    let old = std::mem::take(&mut graph.nodes);
    // The node of a value that nobody else reads.
    let above = |id: ValueId| producers.get(&id).map(|at| &old[*at]).filter(|_| uses.get(id.0) == Some(&1));
    let mut found = 0;
    for node in &old {
        match Fused::find(&graph.values, node, &above) {
            Some(fused) => {
                fused.place(graph, node)?;
                found += 1;
            }
            None => graph.nodes.push(node.clone()),
        }
    }
    dead_code::run(graph)?;
    Ok(found)
}

/// An elementwise node over dimensions of which one is that of the halves.
struct Fused {
    expr: Expr,
    /// Inputs, [`WHICH`] among them, and the shapes under which they are read.
    inputs: Vec<(ValueId, Vec<usize>)>,
    /// The output's shape.
    shape: Vec<usize>,
}

impl Fused {
    fn find<'a>(values: &[Value], node: &Node, above: &impl Fn(ValueId) -> Option<&'a Node>) -> Option<Self> {
        let Op::Elementwise(op) = &node.op else { return None };
        let (outer, shape) = (op.plain()?, |id: ValueId| dims(&values[id.0].ty));
        let out = shape(node.outputs[0])?;
        node.inputs.iter().find_map(|id| {
            if shape(*id)? != out || values[id.0].ty.dtype != DType::F32 {
                return None;
            }
            // Reshapes leave all elements in their order.
            let through = |mut id: ValueId| {
                while let Some(reshape) = above(id).filter(|n| matches!(n.op, Op::Reshape(_))) {
                    id = reshape.inputs[0];
                }
                id
            };
            let join = above(through(*id))?;
            let (Op::Concat(Concat { axis }), &[a, b]) = (&join.op, &join.inputs[..]) else { return None };
            let half = shape(a).filter(|half| shape(b).as_ref() == Some(half) && axis + 1 == half.len())?;
            let [a, b] = [through(a), through(b)];
            if a == b {
                return None;
            }
            let first = Expr::binary(Operator::Less, Expr::operand(0), Expr::float(0.5));
            let either = Expr::select(first, Expr::operand(1), Expr::operand(2));
            let (either, halves) = [a, b].into_iter().fold((either, vec![WHICH, a, b]), |(either, halves), half| {
                // What is computed for a half alone is computed here.
                let alike = |n: &&Node| n.inputs.iter().all(|id| shape(*id) == shape(half));
                match above(half).filter(alike).map(|n| (&n.op, n)) {
                    Some((Op::Elementwise(inner), n)) if inner.plain().is_some() => {
                        substitute(&either, &halves, half, &inner.expr, &n.inputs, 0)
                    }
                    _ => (either, halves),
                }
            });
            let (expr, inputs) = substitute(outer, &node.inputs, *id, &either, &halves, 0);
            if inputs.len() > MOST_OPERANDS || expr.size() > MOST_WORK {
                return None;
            }
            let (last, rows) = half.split_last()?;
            let joined = [rows, &[2, *last]].concat();
            let fine = Fine::of(&[&out, &joined])?;
            let under = |id: &ValueId| {
                let of_half = || fine.split(&[rows, &[1, *last]].concat(), &joined);
                let seen = match *id {
                    WHICH => fine.split(&[2, 1], &joined)?,
                    id if halves.contains(&id) => of_half()?,
                    id => fine.split(&shape(id)?, &out)?,
                };
                // A half that is an operand by itself too would be read in two ways.
                (!halves.contains(id) || !node.inputs.contains(id)).then_some((*id, seen))
            };
            Some(Fused { expr, inputs: inputs.iter().map(under).collect::<Option<_>>()?, shape: fine.0.clone() })
        })
    }

    /// Adds the node in the place of `node`, and what it reads and is read through.
    fn place(self, graph: &mut Graph, node: &Node) -> Result<()> {
        let dtype = graph.value(node.outputs[0]).ty.dtype;
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (i, (id, shape)) in self.inputs.into_iter().enumerate() {
            let name = format!("{} operand {i}", node.name);
            let (of, origin) = match graph.values.get(id.0) {
                None => (DType::F32, Origin::Weight(Weight::from_f32(&shape, &[0.0, 1.0])?)),
                Some(value) if dims(&value.ty).as_ref() == Some(&shape) => {
                    inputs.push(id);
                    continue;
                }
                Some(Value { origin: Origin::Weight(weight), ty, .. }) => (ty.dtype, Origin::Weight(weight.reshaped(&shape)?)),
                Some(value) => (value.ty.dtype, Origin::Node),
            };
            let computed = matches!(origin, Origin::Node);
            let made = add(graph, name.clone(), TensorType::new(of, &shape[..]), origin);
            if computed {
                graph.nodes.push(Node { name, op: Reshape { shape }.into(), inputs: vec![id], outputs: vec![made] });
            }
            inputs.push(made);
        }
        let name = node.name.clone();
        let inner = add(graph, name.clone(), TensorType::new(dtype, &self.shape[..]), Origin::Node);
        let shape = dims(&graph.value(node.outputs[0]).ty).unwrap_or_default();
        graph.nodes.push(Node { name: name.clone(), op: Elementwise::from(self.expr).into(), inputs, outputs: vec![inner] });
        graph.nodes.push(Node { name, op: Reshape { shape }.into(), inputs: vec![inner], outputs: node.outputs.clone() });
        Ok(())
    }
}

fn add(graph: &mut Graph, name: String, ty: TensorType, origin: Origin) -> ValueId {
    graph.values.push(Value { name, ty, origin });
    ValueId(graph.values.len() - 1)
}
