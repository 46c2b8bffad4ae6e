//! What a model computes: nodes over values, in an order in which they can run. Formats and models only build graphs.
//!
//! A value has one producer: it is an input of the graph, a weight, a state (storage that outlives a run, such as a
//! key-value cache) or an output of a node. Names are those of the source model.

mod builder;
mod dump;
pub mod interpreter;
pub mod verify;

pub use builder::GraphBuilder;

use crate::ops::Op;
use crate::shape::TensorType;
use crate::tensor::Weight;

/// Names a value of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The caller passes it to each run.
    Input,
    /// It is a weight of the model.
    Weight(Weight),
    /// It is storage that outlives a run, zero at first.
    State,
    /// A node computes it.
    Node,
}

/// One value.
#[derive(Clone, Debug)]
pub struct Value {
    /// The source model's name where it has one.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
    /// Where it comes from.
    pub origin: Origin,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// The source model's name.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Operands, in the op's order.
    pub inputs: Vec<ValueId>,
    /// Results, in the op's order.
    pub outputs: Vec<ValueId>,
}

/// A computation.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All values.
    pub values: Vec<Value>,
    /// All nodes; each stands after those that it depends on.
    pub nodes: Vec<Node>,
    /// What the caller passes, in the caller's order.
    pub inputs: Vec<ValueId>,
    /// What the caller gets, in the caller's order.
    pub outputs: Vec<ValueId>,
}

impl Graph {
    /// The value called `id`.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The first value called `name`.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.values.iter().position(|v| v.name == name).map(ValueId)
    }

    /// How often each value is read: by nodes, and by the caller as an output.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        let read = self.nodes.iter().flat_map(|n| &n.inputs).chain(&self.outputs);
        read.for_each(|id| uses[id.0] += 1);
        uses
    }
}
