//! Replacing calls of a model's own functions by their bodies.

use super::convert::MAX_DEPTH;
use super::model::{Attribute, Function, Graph, Model, Node, ValueInfo};
use super::{order, size};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many calls may be inside each other.
const MAX_CALLS: usize = 32;
/// The most memory that bodies may take: functions that call others twice, and those again, grow without measure.
const MAX_BYTES: usize = 1 << 28;

/// Replaces every call of a function of the model, also in the graphs of attributes, by the nodes of the function's body, until
/// no call is left; then there are no functions left either. An operator that the model defines itself is a call even where
/// the standard has one of that name.
///
/// Values of a body get new names, `call0/Function/name` and so on. Attributes that the body takes from the call have the
/// call's value, else the function's default, else they are left out.
///
/// # Errors
/// [`Error::Format`] for functions that call themselves, directly or not, and for calls with more operands or results than the
/// function has; [`Error::Unsupported`] when calls or graphs are nested too deep, or the result would be too large. The model
/// is of no use after an error.
pub fn expand_functions(model: &mut Model) -> Result<()> {
    if model.functions.is_empty() {
        return Ok(());
    }
    let functions = std::mem::take(&mut model.functions);
    let key = |function: &Function| (function.domain.clone(), function.name.clone(), function.overload.clone());
    let mut expansion = Expansion {
        functions: functions.iter().map(|function| (key(function), function)).collect(),
        active: Vec::new(),
        calls: first_call(&model.graph),
        bytes: 0,
    };
    expansion.graph(&mut model.graph, 0)?;
    order::settle(&mut model.graph, "model after expanding functions")
}

struct Expansion<'a> {
    functions: HashMap<(String, String, String), &'a Function>,
    /// The functions whose bodies are being expanded, the innermost last.
    active: Vec<&'a Function>,
    /// The number of the next call.
    calls: u64,
    bytes: usize,
}

impl Expansion<'_> {
    fn graph(&mut self, graph: &mut Graph, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            let what = format!("graph '{}': graphs are nested more than {MAX_DEPTH} deep", graph.name.escape_debug());
            return Err(Error::Unsupported(what));
        }
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for node in std::mem::take(&mut graph.nodes) {
            self.node(node, depth, &mut nodes)?;
        }
        graph.nodes = nodes;
        Ok(())
    }

    /// Appends `node`, or what it stands for, to `out`.
    fn node(&mut self, mut node: Node, depth: usize, out: &mut Vec<Node>) -> Result<()> {
        for graph in node.attributes.values_mut().flat_map(Attribute::graphs_mut) {
            self.graph(Arc::make_mut(graph), depth + 1)?;
        }
        let key = (node.domain.clone(), node.op_type.clone(), node.overload.clone());
        let Some(function) = self.functions.get(&key).copied() else {
            out.push(node);
            return Ok(());
        };
        if self.active.iter().any(|active| std::ptr::eq(*active, function)) {
            return Err(Error::format(node.label(), "the function calls itself"));
        }
        if self.active.len() == MAX_CALLS {
            return Err(Error::Unsupported(format!("{}: more than {MAX_CALLS} calls inside each other", node.label())));
        }
        let body = self.instance(function, &node)?;
        self.active.push(function);
        body.into_iter().try_for_each(|node| self.node(node, depth, out))?;
        self.active.pop();
        Ok(())
    }

    /// The body of `function` with the names and attributes of a call.
    fn instance(&mut self, function: &Function, call: &Node) -> Result<Vec<Node>> {
        if call.inputs.len() > function.inputs.len() || call.outputs.len() > function.outputs.len() {
            let (inputs, outputs) = (function.inputs.len(), function.outputs.len());
            let what = format!("the function has only {inputs} operands and {outputs} results");
            return Err(Error::format(call.label(), what));
        }
        let prefix = format!("call{}/{}/", self.calls, function.name);
        self.calls += 1;
        let absent = std::iter::repeat("");
        let actual = call.inputs.iter().map(String::as_str).chain(absent);
        let mut names: Names = function.inputs.iter().map(String::as_str).zip(actual).collect();
        let mut copies = Vec::new();
        for (formal, actual) in function.outputs.iter().zip(&call.outputs).filter(|(_, actual)| !actual.is_empty()) {
            match names.get(formal.as_str()) {
                None => drop(names.insert(formal, actual)),
                Some(input) => copies.push(copy(function, input, actual)),
            }
        }
        let renaming = Renaming { prefix: &prefix, function, call };
        let given = |name: &str| renaming.given(name);
        let body = function.nodes.iter().map(|node| {
            self.bytes = self.bytes.saturating_add(size::node(node, prefix.len(), &given));
            match self.bytes > MAX_BYTES {
                true => Err(Error::Unsupported(format!("{}: the model's functions expand to too many nodes", call.label()))),
                false => Ok(renaming.node(node, &names)),
            }
        });
        body.chain(copies.into_iter().map(Ok)).collect()
    }
}

/// Names of a function's operands and results, and those of the call.
type Names<'a> = BTreeMap<&'a str, &'a str>;

/// How a function's body becomes that of one call.
struct Renaming<'a> {
    prefix: &'a str,
    function: &'a Function,
    call: &'a Node,
}

impl Renaming<'_> {
    fn name(&self, name: &str, names: &Names) -> String {
        match names.get(name) {
            Some(actual) => (*actual).to_owned(),
            None if name.is_empty() => String::new(),
            None => format!("{}{name}", self.prefix),
        }
    }

    fn node(&self, node: &Node, names: &Names) -> Node {
        let rename = |list: &[String]| list.iter().map(|name| self.name(name, names)).collect();
        let attributes = node.attributes.iter().filter_map(|(name, value)| Some((name.clone(), self.attribute(value, names)?)));
        Node {
            name: format!("{}{}", self.prefix, node.name),
            inputs: rename(&node.inputs),
            outputs: rename(&node.outputs),
            attributes: attributes.collect(),
            op_type: node.op_type.clone(),
            domain: node.domain.clone(),
            overload: node.overload.clone(),
            opset: node.opset,
        }
    }

    /// What the call, or else the function, says of an attribute.
    fn given(&self, name: &str) -> Option<&Attribute> {
        self.call.attributes.get(name).or_else(|| self.function.defaults.get(name))
    }

    /// An attribute of the body; `None` where it refers to one that neither the call nor the function has.
    fn attribute(&self, value: &Attribute, names: &Names) -> Option<Attribute> {
        let graph = |graph: &Arc<Graph>| Arc::new(self.graph(graph, names));
        Some(match value {
            // What the call gives has the names of its own surroundings.
            Attribute::Ref(name) => self.given(name)?.clone(),
            Attribute::Graph(body) => Attribute::Graph(graph(body)),
            Attribute::Graphs(bodies) => Attribute::Graphs(bodies.iter().map(graph).collect()),
            other => other.clone(),
        })
    }

    fn graph(&self, graph: &Graph, names: &Names) -> Graph {
        // What the graph defines hides the function's operands and results.
        let given =
            graph.inputs.iter().map(|info| info.name.as_str()).chain(graph.initializers.iter().map(|(name, _)| name.as_str()));
        let made = graph.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str);
        let own: BTreeSet<&str> = given.chain(made).collect();
        let names =
            names.iter().filter(|(formal, _)| !own.contains(*formal)).map(|(formal, actual)| (*formal, *actual)).collect();
        let info = |info: &ValueInfo| ValueInfo { name: self.name(&info.name, &names), kind: info.kind.clone() };
        Graph {
            name: format!("{}{}", self.prefix, graph.name),
            nodes: graph.nodes.iter().map(|node| self.node(node, &names)).collect(),
            inputs: graph.inputs.iter().map(info).collect(),
            outputs: graph.outputs.iter().map(info).collect(),
            initializers: graph.initializers.iter().map(|(name, data)| (self.name(name, &names), data.clone())).collect(),
            value_info: graph.value_info.iter().map(info).collect(),
        }
    }
}

/// The node for a result that is an operand itself.
fn copy(function: &Function, input: &str, output: &str) -> Node {
    Node {
        op_type: "Identity".to_owned(),
        opset: function.opsets.get("").copied().unwrap_or(1),
        inputs: vec![input.to_owned()],
        outputs: vec![output.to_owned()],
        ..Node::default()
    }
}

/// The first number for which no name of the graph begins as the names of a call do.
fn first_call(graph: &Graph) -> u64 {
    let number = |name: &str| name.strip_prefix("call")?.split_once('/')?.0.parse::<u32>().ok();
    let mut first = 0;
    let mut see = |name: &str| first = number(name).map_or(first, |number| first.max(u64::from(number) + 1));
    graph.inputs.iter().for_each(|info| see(&info.name));
    graph.initializers.iter().for_each(|(name, _)| see(name));
    for node in &graph.nodes {
        node.outputs.iter().for_each(|name| see(name));
    }
    let nested = graph.nodes.iter().flat_map(|node| node.attributes.values()).flat_map(Attribute::graphs);
    nested.map(|graph| first_call(graph)).fold(first, u64::max)
}
