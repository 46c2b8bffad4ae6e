//! A plan as text: memory first, then one line per dispatch.

use std::fmt;

use super::{Place, Plan};
use crate::kernel::Resource;

impl Plan {
    fn label(&self, resource: Resource) -> String {
        match resource {
            Resource::Value(i) => match &self.values[i].place {
                Place::Arena(offset) => format!("%{i}@{offset:#x}"),
                Place::Input(offset) => format!("%{i}=in@{offset:#x}"),
                Place::State(state) => format!("%{i}=state%{state}"),
                _ => format!("%{i}='{}'", self.values[i].name),
            },
            Resource::Plane { value, chunk, plane } => {
                format!("'{}'[chunk {chunk}].{}", self.values[value].name, ["quants", "scales", "high"][plane])
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbols: Vec<String> = self.symbols.iter().map(|(name, n)| format!("{name}={n}")).collect();
        let dispatches = self.dispatches().count();
        writeln!(f, "plan for {}: {} nodes, {dispatches} dispatches", symbols.join(" "), self.steps.len())?;
        let (arena, unshared) = (self.arena_bytes, self.unshared_bytes);
        writeln!(f, "arena {arena} bytes ({unshared} without sharing), inputs {} bytes", self.input_bytes)?;
        for step in &self.steps {
            writeln!(f, "{} '{}' ({} flop)", step.op, step.name, step.flops)?;
            for d in &step.dispatches {
                let (writes, reads): (Vec<_>, Vec<_>) = d.bindings.iter().partition(|b| b.writes);
                let list =
                    |b: Vec<&crate::kernel::Binding>| b.iter().map(|b| self.label(b.resource)).collect::<Vec<_>>().join(", ");
                writeln!(f, "  {} grid {:?} params {:?}: {} <- {}", d.kernel, d.grid, d.params, list(writes), list(reads))?;
            }
        }
        let outputs: Vec<String> = self.outputs.iter().map(|i| self.label(Resource::Value(*i))).collect();
        writeln!(f, "outputs {}", outputs.join(", "))
    }
}
