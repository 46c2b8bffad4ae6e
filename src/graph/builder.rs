//! Building a graph node by node; each node's types are inferred and checked as it is added.

use super::{Graph, Node, Origin, Value, ValueId};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::shape::{Shape, TensorType};
use crate::tensor::Weight;

/// A graph under construction.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    fn value(&mut self, name: impl Into<String>, ty: TensorType, origin: Origin) -> ValueId {
        self.graph.values.push(Value { name: name.into(), ty, origin });
        ValueId(self.graph.values.len() - 1)
    }

    /// A value that the caller passes to each run.
    pub fn input(&mut self, name: impl Into<String>, dtype: DType, shape: impl Into<Shape>) -> ValueId {
        let id = self.value(name, TensorType::new(dtype, shape), Origin::Input);
        self.graph.inputs.push(id);
        id
    }

    /// A weight of the model.
    pub fn weight(&mut self, name: impl Into<String>, weight: Weight) -> ValueId {
        self.value(name, TensorType::new(weight.dtype(), Shape::from(weight.shape())), Origin::Weight(weight))
    }

    /// Storage that outlives a run, zero at first.
    pub fn state(&mut self, name: impl Into<String>, dtype: DType, shape: impl Into<Shape>) -> ValueId {
        self.value(name, TensorType::new(dtype, shape), Origin::State)
    }

    /// Adds a node and returns its outputs.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the node when the op's shape rule refuses the operands.
    pub fn node(&mut self, name: impl Into<String>, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let (name, op) = (name.into(), op.into());
        let types: Vec<&TensorType> = inputs.iter().map(|id| &self.graph.value(*id).ty).collect();
        let outputs = op.rule().infer(&types).map_err(|e| match e {
            Error::Shape { op, what } => Error::Shape { op: format!("{op} '{name}'"), what },
            other => other,
        })?;
        let outputs = outputs.into_iter().enumerate().map(|(i, ty)| {
            let name = if i == 0 { name.clone() } else { format!("{name}.{i}") };
            self.graph.values.push(Value { name, ty, origin: Origin::Node });
            ValueId(self.graph.values.len() - 1)
        });
        let outputs: Vec<ValueId> = outputs.collect();
        self.graph.nodes.push(Node { name, op, inputs: inputs.to_vec(), outputs: outputs.clone() });
        Ok(outputs)
    }

    /// Adds a node with one output and returns it.
    ///
    /// # Errors
    /// As [`GraphBuilder::node`].
    pub fn one(&mut self, name: impl Into<String>, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        let outputs = self.node(name, op, inputs)?;
        outputs.first().copied().ok_or_else(|| Error::invalid("graph builder", "the op has no outputs"))
    }

    /// Marks a value as something that the caller gets.
    pub fn output(&mut self, id: ValueId) {
        self.graph.outputs.push(id);
    }

    /// The finished graph.
    ///
    /// # Errors
    /// As [`super::verify::verify`].
    pub fn finish(self) -> Result<Graph> {
        super::verify::verify(&self.graph, "graph")?;
        Ok(self.graph)
    }
}
