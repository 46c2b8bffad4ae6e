//! Where tracing stands: a stack of graphs, the model's own and those of branches and loops, each with its values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::value::{Arrival, Content, Value};
use crate::formats::onnx::{Graph, Node};

/// A graph that is being traced.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The graph.
    pub graph: Arc<Graph>,
    /// The node that comes next.
    pub next: usize,
    /// Values by their names. Names that are not here are looked for in the frames below.
    pub scope: BTreeMap<String, Value>,
    /// What its end means.
    pub kind: Kind,
}

/// What the end of a frame's graph means.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The model is done.
    Main,
    /// The results are those of the `If` node below.
    Branch,
    /// An iteration of the `Loop` node below is done.
    Loop(Loop),
    /// A step of the `Scan` node below is done.
    Scan(Scan),
}

/// A loop's state.
#[derive(Clone, Debug)]
pub struct Loop {
    /// Iterations at most; unbounded when absent.
    pub trips: Option<i64>,
    /// The iteration that runs.
    pub iteration: i64,
    /// Results of the iterations so far, for every scan output.
    pub scans: Vec<Vec<Value>>,
    /// The number of values that iterations hand on.
    pub carried: usize,
}

/// A scan's state.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Steps.
    pub length: usize,
    /// The step that runs.
    pub step: usize,
    /// The scanned operands with their axes and whether they are walked backwards.
    pub inputs: Vec<(Value, usize, bool)>,
    /// Axis and direction of every scan output.
    pub outputs: Vec<(i64, bool)>,
    /// Results of the steps so far, for every scan output.
    pub scans: Vec<Vec<Value>>,
    /// The number of states.
    pub states: usize,
}

/// The stack.
#[derive(Clone, Debug)]
pub struct Frames(pub Vec<Frame>);

impl Frames {
    /// The value of that name, from the innermost frame that has it.
    pub fn find(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find_map(|f| f.scope.get(name))
    }

    /// The place in the model: the node of every frame, and the iteration of loops.
    pub fn place(&self) -> String {
        let part = |f: &Frame| match &f.kind {
            Kind::Main | Kind::Branch => format!("{}:{}", f.graph.name, f.next),
            Kind::Loop(_) | Kind::Scan(_) => format!("{}*:{}", f.graph.name, f.next),
        };
        self.0.iter().map(part).collect::<Vec<_>>().join("/")
    }

    /// Iterations of the loops that tracing is in.
    pub fn iterations(&self) -> Vec<i64> {
        let count = |f: &Frame| match &f.kind {
            Kind::Main | Kind::Branch => None,
            Kind::Loop(l) => Some(l.iteration),
            Kind::Scan(s) => Some(s.step as i64),
        };
        self.0.iter().filter_map(count).collect()
    }

    /// Drops the values that nothing reads any more.
    pub fn prune(&mut self) {
        let mut used = BTreeSet::new();
        for frame in &self.0 {
            let again = matches!(frame.kind, Kind::Loop(_) | Kind::Scan(_));
            let rest = frame.graph.nodes.get(if again { 0 } else { frame.next }..).unwrap_or_default();
            rest.iter().for_each(|node| names(node, &mut used));
            used.extend(frame.graph.outputs.iter().map(|o| o.name.clone()));
        }
        self.0.iter_mut().for_each(|f| f.scope.retain(|name, _| used.contains(name)));
    }

    /// All values, in a fixed order.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().flat_map(|f| {
            let held: Vec<&Value> = match &f.kind {
                Kind::Main | Kind::Branch => Vec::new(),
                Kind::Loop(l) => l.scans.iter().flatten().collect(),
                Kind::Scan(s) => s.inputs.iter().map(|(v, ..)| v).chain(s.scans.iter().flatten()).collect(),
            };
            f.scope.values().chain(held)
        })
    }

    /// For every value in that order what a run brought, if it did.
    pub fn arrivals(&self) -> Vec<Option<Arc<Arrival>>> {
        let arrival = |v: &Value| match &v.content {
            Content::Arrived(arrival) => Some(arrival.clone()),
            _ => None,
        };
        self.values().map(arrival).collect()
    }

    /// All values in the same order, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().flat_map(|f| {
            let held: Vec<&mut Value> = match &mut f.kind {
                Kind::Main | Kind::Branch => Vec::new(),
                Kind::Loop(l) => l.scans.iter_mut().flatten().collect(),
                Kind::Scan(s) => s.inputs.iter_mut().map(|(v, ..)| v).chain(s.scans.iter_mut().flatten()).collect(),
            };
            f.scope.values_mut().chain(held)
        })
    }

    /// What decides about the stage that begins here, but for elements of values that arrived: the place, and every value's
    /// name, type, shape and, where the host knows it, elements.
    pub fn key(&self) -> Vec<u8> {
        let mut key = self.place().into_bytes();
        for n in self.iterations() {
            key.extend(n.to_le_bytes());
        }
        let names = self.0.iter().flat_map(|f| f.scope.keys());
        for name in names {
            key.push(0);
            key.extend(name.as_bytes());
        }
        for value in self.values().filter(|v| !v.is_lasting()) {
            key.extend(value.ty.onnx().to_le_bytes());
            key.extend((value.rank() as u64).to_le_bytes());
            value.shape.iter().for_each(|n| key.extend((*n as u64).to_le_bytes()));
            if let Content::Known(constant) = &value.content {
                match constant.tensor().as_ref().map(|t| t.data()) {
                    Ok(crate::tensor::Data::F32(v)) => key.extend(bytemuck::cast_slice(v)),
                    Ok(crate::tensor::Data::I64(v)) => key.extend(bytemuck::cast_slice(v)),
                    _ => key.push(1),
                }
            }
        }
        key
    }
}

/// Adds the names that a node reads, also in its graphs.
fn names(node: &Node, used: &mut BTreeSet<String>) {
    used.extend(node.inputs.iter().cloned());
    for graph in node.attributes.values().flat_map(|a| a.graphs()) {
        graph.nodes.iter().for_each(|n| names(n, used));
        used.extend(graph.outputs.iter().map(|o| o.name.clone()));
    }
}
