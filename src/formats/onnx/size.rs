//! About how much memory parts of a model take, in bytes: what bounds the expansion of functions.

use super::model::{Attribute, Dim, Graph, Node, ValueInfo, ValueKind};

/// A node whose names get a prefix of that length, and whose references to attributes of a function become what `given` says.
pub(super) fn node<'a>(node: &'a Node, prefix: usize, given: &dyn Fn(&str) -> Option<&'a Attribute>) -> usize {
    let names = [&node.name, &node.op_type, &node.domain, &node.overload].into_iter().chain(&node.inputs).chain(&node.outputs);
    let attributes = node
        .attributes
        .iter()
        .map(|(name, value)| name.len() + size_of::<(String, Attribute)>() + attribute(value, prefix, given));
    size_of::<Node>() + names.map(|name| text(name, prefix)).sum::<usize>() + attributes.sum::<usize>()
}

fn text(text: &str, prefix: usize) -> usize {
    text.len() + prefix + size_of::<String>()
}

fn attribute<'a>(value: &'a Attribute, prefix: usize, given: &dyn Fn(&str) -> Option<&'a Attribute>) -> usize {
    match value {
        Attribute::Int(_) | Attribute::Float(_) => 0,
        Attribute::String(text) => text.len(),
        Attribute::Ints(numbers) => size_of_val(&numbers[..]),
        Attribute::Floats(numbers) => size_of_val(&numbers[..]),
        Attribute::Strings(texts) => texts.iter().map(|text| text.len() + size_of::<Vec<u8>>()).sum(),
        // The data is shared.
        Attribute::Tensor(tensor) => size_of_val(tensor.shape()),
        Attribute::Tensors(tensors) => tensors.iter().map(|tensor| size_of_val(tensor) + size_of_val(tensor.shape())).sum(),
        Attribute::Graph(_) | Attribute::Graphs(_) => value.graphs().iter().map(|body| graph(body, prefix, given)).sum(),
        Attribute::Type(kind) => value_kind(kind),
        Attribute::Types(kinds) => kinds.iter().map(value_kind).sum(),
        // What a call gives keeps its names and refers to nothing.
        Attribute::Ref(name) => given(name).map_or(0, |value| attribute(value, 0, &|_| None)),
    }
}

fn graph<'a>(graph: &'a Graph, prefix: usize, given: &dyn Fn(&str) -> Option<&'a Attribute>) -> usize {
    let info = |info: &ValueInfo| text(&info.name, prefix) + value_kind(&info.kind);
    let infos = graph.inputs.iter().chain(&graph.outputs).chain(&graph.value_info).map(info);
    let initializers = graph.initializers.iter();
    let initializers = initializers.map(|(name, data)| text(name, prefix) + size_of_val(data) + size_of_val(data.shape()));
    let nodes = graph.nodes.iter().map(|body| node(body, prefix, given));
    size_of::<Graph>() + text(&graph.name, prefix) + infos.sum::<usize>() + initializers.sum::<usize>() + nodes.sum::<usize>()
}

fn value_kind(kind: &ValueKind) -> usize {
    let dim = |dim: &Dim| size_of::<Dim>() + if let Dim::Param(name) = dim { name.len() } else { 0 };
    let inside = match kind {
        ValueKind::Tensor { shape, .. } | ValueKind::SparseTensor { shape, .. } => shape.iter().flatten().map(dim).sum(),
        ValueKind::Sequence(value) | ValueKind::Optional(value) | ValueKind::Map { value, .. } => value_kind(value),
        ValueKind::Opaque { domain, name } => domain.len() + name.len(),
        ValueKind::Unknown => 0,
    };
    size_of::<ValueKind>() + inside
}
