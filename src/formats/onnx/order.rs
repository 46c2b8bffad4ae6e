//! The rules of names: what is used is defined, once, and nodes stand after those whose results they use.

use super::model::{Function, Graph, Node};
use crate::error::{Error, Result};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

/// Names that a graph takes from those around it, each with one of its users.
type Free = BTreeMap<String, String>;

/// Checks a whole graph and the graphs in it, and puts their nodes in order.
pub(super) fn settle(graph: &mut Graph, place: &str) -> Result<()> {
    let place = format!("{place}: graph '{}'", graph.name.escape_debug());
    closed(settle_graph(graph, &place)?, &place)
}

/// Checks a function's body and puts its nodes in order.
pub(super) fn settle_function(function: &mut Function, place: &str) -> Result<()> {
    let mut body = Body::default();
    for name in &function.inputs {
        body.define(name, None, place)?;
    }
    let free = body.settle(&mut function.nodes, function.outputs.iter().map(String::as_str), place)?;
    if let Some(twice) = duplicate(function.outputs.iter()) {
        return Err(Error::format(place, format!("output '{}' is listed twice", twice.escape_debug())));
    }
    closed(free, place)
}

fn closed(free: Free, place: &str) -> Result<()> {
    match free.first_key_value() {
        None => Ok(()),
        Some((name, user)) => Err(Error::format(place, format!("{user} uses '{}', which is not defined", name.escape_debug()))),
    }
}

fn settle_graph(graph: &mut Graph, place: &str) -> Result<Free> {
    let mut body = Body::default();
    for input in &graph.inputs {
        body.define(&input.name, None, place)?;
    }
    if let Some(twice) = duplicate(graph.initializers.iter().map(|(name, _)| name)) {
        return Err(Error::format(place, format!("initializer '{}' is defined twice", twice.escape_debug())));
    }
    for (name, _) in &graph.initializers {
        // An initializer may be the default value of an input.
        if !body.definers.contains_key(name) {
            body.define(name, None, place)?;
        }
    }
    body.settle(&mut graph.nodes, graph.outputs.iter().map(|output| output.name.as_str()), place)
}

fn duplicate<'a>(names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

/// The names of one graph: which node defines them, none for what is given to the graph.
#[derive(Default)]
struct Body {
    definers: HashMap<String, Option<usize>>,
}

impl Body {
    fn define(&mut self, name: &str, node: Option<usize>, place: &str) -> Result<()> {
        if name.is_empty() {
            return Err(Error::format(place, "an input or initializer has no name"));
        }
        match self.definers.insert(name.to_owned(), node) {
            None => Ok(()),
            Some(_) => Err(Error::format(place, format!("'{}' is defined twice", name.escape_debug()))),
        }
    }

    /// Sorts `nodes`, and returns the names that neither they nor the givens define.
    fn settle<'a>(mut self, nodes: &mut Vec<Node>, outputs: impl Iterator<Item = &'a str>, place: &str) -> Result<Free> {
        for (index, node) in nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|name| !name.is_empty()) {
                self.define(output, Some(index), &format!("{place}, {}", node.label()))?;
            }
        }
        let (mut free, mut sources) = (Free::new(), Vec::with_capacity(nodes.len()));
        for node in nodes.iter_mut() {
            let label = node.label();
            let mut used = nested_uses(node, &format!("{place}, {label}"))?;
            used.extend(node.inputs.iter().filter(|name| !name.is_empty()).map(|name| (name.clone(), label.clone())));
            let mut needs = Vec::new();
            for (name, user) in used {
                match self.definers.get(&name) {
                    Some(definer) => needs.extend(*definer),
                    None => drop(free.insert(name, user)),
                }
            }
            sources.push(needs);
        }
        for output in outputs {
            if output.is_empty() {
                return Err(Error::format(place, "an output has no name"));
            }
            if !self.definers.contains_key(output) {
                free.insert(output.to_owned(), "the list of outputs".to_owned());
            }
        }
        sort(nodes, &sources, place)?;
        Ok(free)
    }
}

/// Settles the graphs in a node's attributes and returns what they take from around them.
fn nested_uses(node: &mut Node, place: &str) -> Result<Free> {
    let mut used = Free::new();
    for (name, attribute) in &mut node.attributes {
        for graph in attribute.graphs_mut() {
            used.extend(settle_graph(Arc::make_mut(graph), &format!("{place}, attribute '{}'", name.escape_debug()))?);
        }
    }
    Ok(used)
}

/// Puts every node after its `sources`, and leaves the order as it is where that is possible.
fn sort(nodes: &mut Vec<Node>, sources: &[Vec<usize>], place: &str) -> Result<()> {
    let mut waiting: Vec<usize> = sources.iter().map(Vec::len).collect();
    let mut users = vec![Vec::new(); nodes.len()];
    for (node, sources) in sources.iter().enumerate() {
        sources.iter().for_each(|source| users[*source].push(node));
    }
    let mut ready: BinaryHeap<_> = (0..nodes.len()).filter(|node| waiting[*node] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        for user in &users[node] {
            waiting[*user] -= 1;
            if waiting[*user] == 0 {
                ready.push(Reverse(*user));
            }
        }
    }
    if let Some(stuck) = waiting.iter().position(|count| *count > 0) {
        // Each node that waits has a source that waits: going from one to the next must come back to one that was seen.
        let (mut node, mut seen) = (stuck, vec![false; nodes.len()]);
        while !std::mem::replace(&mut seen[node], true) {
            node = sources[node].iter().copied().find(|source| waiting[*source] > 0).unwrap_or(node);
        }
        return Err(Error::format(place, format!("{} needs its own result: a cycle", nodes[node].label())));
    }
    let mut taken: Vec<_> = std::mem::take(nodes).into_iter().map(Some).collect();
    nodes.extend(order.into_iter().filter_map(|node| taken[node].take()));
    Ok(())
}
