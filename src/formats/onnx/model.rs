//! What a checked ONNX model consists of.

use super::tensor::OnnxTensor;
use crate::formats::element::ElementType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A model: a graph, the functions that it may call, and what the file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The version of the file format.
    pub ir_version: i64,
    /// The operator sets that the graph is written for: domain (empty for the standard one) to version.
    pub opsets: BTreeMap<String, i64>,
    /// The computation.
    pub graph: Graph,
    /// Functions of the model's own; see [`super::expand_functions`].
    pub functions: Vec<Function>,
    /// The tool that wrote the file, and its version.
    pub producer: (String, String),
    /// The model's namespace, often empty.
    pub domain: String,
    /// The version of the model itself.
    pub version: i64,
    /// Free-form properties.
    pub metadata: BTreeMap<String, String>,
}

/// A graph, of a model or of an attribute (a branch, a loop's body).
///
/// Every name that is used is defined: in the graph, or, for the graphs of attributes, in one that encloses it. Nothing is
/// defined twice in one graph; an inner definition hides an outer one. Nodes stand after those whose results they use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The graph's name.
    pub name: String,
    /// The computation, in an order that can be executed.
    pub nodes: Vec<Node>,
    /// What is given to the graph. Before IR version 4 also the initializers.
    pub inputs: Vec<ValueInfo>,
    /// What the graph yields.
    pub outputs: Vec<ValueInfo>,
    /// Constants, and default values of inputs with the same name. Sparse ones are dense here.
    pub initializers: Vec<(String, OnnxTensor)>,
    /// Types of inner values, as far as the file says. It may name values that do not exist.
    pub value_info: Vec<ValueInfo>,
}

/// An application of an operator or of a function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The node's name, often empty.
    pub name: String,
    /// The operator.
    pub op_type: String,
    /// The operator's domain, empty for the standard one.
    pub domain: String,
    /// Which of several functions of the same name.
    pub overload: String,
    /// The version of the domain's operator set that this node is written for. Functions may import other versions than
    /// the model does, so nodes of expanded functions can differ from [`Model::opsets`].
    pub opset: i64,
    /// Names of the operands; empty where an optional one is left out.
    pub inputs: Vec<String>,
    /// Names of the results; empty where one is not wanted.
    pub outputs: Vec<String>,
    /// Constants of the node.
    pub attributes: BTreeMap<String, Attribute>,
}

impl Node {
    /// How messages call the node: its name, or a result, and its operator.
    pub fn label(&self) -> String {
        match (self.name.as_str(), self.outputs.iter().find(|name| !name.is_empty())) {
            ("", Some(output)) => format!("node of '{}' ({})", output.escape_debug(), self.op_type.escape_debug()),
            (name, _) => format!("node '{}' ({})", name.escape_debug(), self.op_type.escape_debug()),
        }
    }
}

/// A node's attribute. Sparse tensors are dense here.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Attribute {
    Int(i64),
    Float(f32),
    String(Vec<u8>),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strings(Vec<Vec<u8>>),
    Tensor(OnnxTensor),
    Tensors(Vec<OnnxTensor>),
    Graph(Arc<Graph>),
    Graphs(Vec<Arc<Graph>>),
    Type(ValueKind),
    Types(Vec<ValueKind>),
    /// In a function: the attribute of that name of the call.
    Ref(String),
}

impl Attribute {
    /// The graphs of a graph attribute, none of others.
    pub fn graphs(&self) -> &[Arc<Graph>] {
        match self {
            Attribute::Graph(graph) => std::slice::from_ref(graph),
            Attribute::Graphs(graphs) => graphs,
            _ => &[],
        }
    }

    /// The graphs of a graph attribute, to be changed.
    pub fn graphs_mut(&mut self) -> &mut [Arc<Graph>] {
        match self {
            Attribute::Graph(graph) => std::slice::from_mut(graph),
            Attribute::Graphs(graphs) => graphs,
            _ => &mut [],
        }
    }
}

/// A function of a model: nodes that stand for one operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// The operator that it defines.
    pub name: String,
    /// The operator's domain, empty for the standard one.
    pub domain: String,
    /// Which of several functions of the same name.
    pub overload: String,
    /// Names of the operands.
    pub inputs: Vec<String>,
    /// Names of the results.
    pub outputs: Vec<String>,
    /// Names of the attributes without a default.
    pub attributes: Vec<String>,
    /// The attributes with a default.
    pub defaults: BTreeMap<String, Attribute>,
    /// The body. It sees no names but its own; the rules are those of [`Graph`].
    pub nodes: Vec<Node>,
    /// The operator sets that the body is written for.
    pub opsets: BTreeMap<String, i64>,
}

/// A named value and its type.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueInfo {
    /// The value's name.
    pub name: String,
    /// What it is.
    pub kind: ValueKind,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// A dense tensor; without a shape nothing is known of its rank.
    Tensor {
        /// The element type.
        ty: ElementType,
        /// The dimensions, outermost first.
        shape: Option<Vec<Dim>>,
    },
    /// A sparse tensor.
    SparseTensor {
        /// The element type.
        ty: ElementType,
        /// The dimensions, outermost first.
        shape: Option<Vec<Dim>>,
    },
    /// A list of values of one type.
    Sequence(Box<ValueKind>),
    /// A value or nothing.
    Optional(Box<ValueKind>),
    /// A dictionary.
    Map {
        /// The type of the keys, integers or strings.
        key: ElementType,
        /// The type of the values.
        value: Box<ValueKind>,
    },
    /// A type that only its domain knows.
    Opaque {
        /// The domain that defines it.
        domain: String,
        /// Its name there.
        name: String,
    },
    /// The file does not say.
    Unknown,
}

/// One dimension of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A fixed size.
    Value(usize),
    /// A size that is the same wherever this name stands.
    Param(String),
    /// Any size.
    Unknown,
}
