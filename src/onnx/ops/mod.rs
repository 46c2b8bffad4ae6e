//! The operators: for each a function that says it in graph ops, views or host steps, in a file with those of its kind.

mod conv;
mod host;
mod indexing;
mod linear;
mod math;
mod norm;
mod pool;
mod random;
mod reduce;
mod shape;
mod window;

use super::context::Context;
use super::tracer::Traced;
use super::value::Value;

/// Where an operator's work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// By kernels on the device.
    Device,
    /// Nowhere: elements stay where they are, or shapes say everything.
    Nowhere,
    /// On the host, for the reason given.
    Host(&'static str),
}

/// Translates a node.
pub type Translate = fn(&mut Context) -> Traced<Vec<Value>>;

/// An operator that is known.
pub struct Operator {
    /// The domain, empty for the standard one.
    pub domain: &'static str,
    /// The name.
    pub name: &'static str,
    /// Where its work is done.
    pub place: Where,
    translate: Translate,
}

const fn device(name: &'static str, translate: Translate) -> Operator {
    Operator { domain: "", name, place: Where::Device, translate }
}

const fn on_host(name: &'static str, why: &'static str, translate: Translate) -> Operator {
    Operator { domain: "", name, place: Where::Host(why), translate }
}

const fn nowhere(name: &'static str, translate: Translate) -> Operator {
    Operator { domain: "", name, place: Where::Nowhere, translate }
}

const FILES: &[&[Operator]] = &[
    conv::OPERATORS,
    host::OPERATORS,
    indexing::OPERATORS,
    linear::OPERATORS,
    math::OPERATORS,
    norm::OPERATORS,
    pool::OPERATORS,
    random::OPERATORS,
    reduce::OPERATORS,
    shape::OPERATORS,
];

/// All operators but `If`, `Loop` and `Scan`, which the walk itself follows.
pub fn operators() -> impl Iterator<Item = &'static Operator> {
    FILES.iter().copied().flatten()
}

/// The function that translates an operator.
pub fn find(domain: &str, name: &str) -> Option<Translate> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    operators().find(|o| o.domain == domain && o.name == name).map(|o| o.translate)
}
