//! Products of quantised weights take their activations as bytes, so that devices multiply integers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::error::Result;
use crate::graph::{Graph, Node, Origin, Value, ValueId};
use crate::ops::{Op, QuantizeRows, QuantizedMatMul};

/// Makes the products of `graph` with weights of block formats products of quantised activations, and returns how many. Activations
/// that several products read are quantised once. Meant for an optimised graph whose steps have few tokens: narrow devices
/// multiply many eight at a time.
///
/// Not one of [`PASSES`](super::PASSES), since results change by more than rounding: every activation by up to half a step of its
/// group's scale ([`QuantizedMatMul`] gives the bound). Each node is still held to its own reference.
///
/// # Errors
/// Those of [`Rule::infer`](crate::ops::Rule::infer).
pub fn quantize_activations(graph: &mut Graph) -> Result<usize> {
    let mut quantized: HashMap<(Vec<ValueId>, Option<u32>), Vec<ValueId>> = HashMap::new();
    let (mut nodes, mut changed) = (Vec::new(), 0);
    for node in std::mem::take(&mut graph.nodes) {
        let (Op::MatMul(product), true) = (&node.op, multiplies_blocks(&graph.values, &node)) else {
            nodes.push(node);
            continue;
        };
        // A product's norm goes on to what quantises its rows.
        let norm = product.norm.clone();
        let x: Vec<ValueId> = [node.inputs[0]].into_iter().chain(norm.iter().map(|_| node.inputs[2])).collect();
        let bytes = match quantized.entry((x.clone(), norm.as_ref().map(|norm| norm.epsilon.to_bits()))) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(insert(&mut graph.values, &mut nodes, "quantised", QuantizeRows { norm }.into(), x)?)
            }
        };
        let others = node.inputs[product.own_operands()..].iter();
        let inputs = bytes.iter().chain([&node.inputs[1]]).chain(others).copied().collect();
        let op = QuantizedMatMul { paired: product.paired, tail: product.tail.clone() }.into();
        nodes.push(Node { op, inputs, ..node });
        changed += 1;
    }
    graph.nodes = nodes;
    Ok(changed)
}

fn multiplies_blocks(values: &[Value], node: &Node) -> bool {
    let weight = node.inputs.get(1).map(|id| &values[id.0]);
    weight.is_some_and(|w| matches!(w.origin, Origin::Weight(_)) && w.ty.dtype.block().0 > 1)
}

/// Adds a node and its results.
fn insert(values: &mut Vec<Value>, nodes: &mut Vec<Node>, what: &str, op: Op, inputs: Vec<ValueId>) -> Result<Vec<ValueId>> {
    let name = format!("{} {what}", values[inputs[0].0].name);
    let types = op.rule().infer(&inputs.iter().map(|id| &values[id.0].ty).collect::<Vec<_>>())?;
    let outputs: Vec<ValueId> = (values.len()..).take(types.len()).map(ValueId).collect();
    values.extend(types.into_iter().map(|ty| Value { name: name.clone(), ty, origin: Origin::Node }));
    nodes.push(Node { name, op, inputs, outputs: outputs.clone() });
    Ok(outputs)
}
