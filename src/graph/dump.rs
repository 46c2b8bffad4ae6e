//! A graph as text: one line per input, state, weight, node and output.

use std::fmt;

use super::{Graph, Origin, ValueId};

impl Graph {
    fn label(&self, id: ValueId) -> String {
        let value = self.value(id);
        format!("%{} '{}' {}", id.0, value.name, value.ty)
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in &self.inputs {
            writeln!(f, "input  {}", self.label(*id))?;
        }
        for (i, value) in self.values.iter().enumerate() {
            match value.origin {
                Origin::State => writeln!(f, "state  {}", self.label(ValueId(i)))?,
                Origin::Weight(_) => writeln!(f, "weight {}", self.label(ValueId(i)))?,
                Origin::Input | Origin::Node => {}
            }
        }
        for node in &self.nodes {
            let outputs: Vec<String> = node.outputs.iter().map(|id| self.label(*id)).collect();
            let inputs: Vec<String> = node.inputs.iter().map(|id| format!("%{}", id.0)).collect();
            writeln!(f, "node   {} = {} ({})", outputs.join(", "), node.op, inputs.join(", "))?;
        }
        for id in &self.outputs {
            writeln!(f, "output {}", self.label(*id))?;
        }
        Ok(())
    }
}
