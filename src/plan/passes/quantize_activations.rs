//! Products of quantised weights take their activations as bytes, so that devices multiply integers.

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Graph, Node, Origin, Value, ValueId};
use crate::ops::{Op, QuantizeRows, QuantizedMatMul, Rule};

/// Makes the products of `graph` with weights of block formats products of quantised activations, and returns how many. Activations
/// that several products read are quantised once. Meant for an optimised graph whose steps have few tokens: many are multiplied
/// eight at a time.
///
/// Not one of [`PASSES`](super::PASSES), since results change by more than rounding: every activation by up to half a step of its
/// group's scale ([`QuantizedMatMul`] gives the bound). Each node is still held to its own reference.
///
/// # Errors
/// Those of [`Rule::infer`].
pub fn quantize_activations(graph: &mut Graph) -> Result<usize> {
    let mut quantized: HashMap<ValueId, Vec<ValueId>> = HashMap::new();
    let (mut nodes, mut changed) = (Vec::new(), 0);
    for mut node in std::mem::take(&mut graph.nodes) {
        let x = node.inputs.first().copied();
        if let (Some(x), Op::MatMul(product), true) = (x, &node.op, multiplies_blocks(&graph.values, &node)) {
            let product = QuantizedMatMul { tail: product.tail.clone() };
            if !quantized.contains_key(&x) {
                let quantize = quantize(&mut graph.values, x)?;
                quantized.insert(x, quantize.outputs.clone());
                nodes.push(quantize);
            }
            node.inputs.splice(0..1, quantized[&x].iter().copied());
            node.op = product.into();
            changed += 1;
        }
        nodes.push(node);
    }
    graph.nodes = nodes;
    Ok(changed)
}

fn multiplies_blocks(values: &[Value], node: &Node) -> bool {
    let weight = node.inputs.get(1).map(|id| &values[id.0]);
    weight.is_some_and(|w| matches!(w.origin, Origin::Weight(_)) && w.ty.dtype.block().0 > 1)
}

/// The node that quantises `x`, with the values that it makes.
fn quantize(values: &mut Vec<Value>, x: ValueId) -> Result<Node> {
    let name = values[x.0].name.clone();
    let types = QuantizeRows.infer(&[&values[x.0].ty])?;
    let outputs = (values.len()..).take(types.len()).map(ValueId).collect();
    values.extend(["bytes", "scales"].iter().zip(types).map(|(part, ty)| Value {
        name: format!("{name} {part}"),
        ty,
        origin: Origin::Node,
    }));
    Ok(Node { name: format!("{name} quantised"), op: QuantizeRows.into(), inputs: vec![x], outputs })
}
