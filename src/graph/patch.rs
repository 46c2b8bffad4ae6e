//! One rewrite of a graph: a node takes the place of another and makes further nodes superfluous.

use super::{Graph, Node};

/// A rewrite that a pass proposes.
#[derive(Debug)]
pub struct Patch {
    /// Index of the node whose place the new one takes.
    pub at: usize,
    /// The new node; it computes the values of the one it replaces.
    pub node: Node,
    /// Indices of nodes whose work the new one does.
    pub remove: Vec<usize>,
}

impl Patch {
    /// Carries the rewrite out. Values that lose their producer stay behind, unread, until dead code is removed.
    pub fn apply(self, graph: &mut Graph) {
        graph.nodes[self.at] = self.node;
        let mut index = 0;
        graph.nodes.retain(|_| {
            index += 1;
            !self.remove.contains(&(index - 1))
        });
    }
}
