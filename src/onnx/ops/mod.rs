//! The operators: for each a function that says it in graph ops, views or host steps, in a file with those of its kind.

mod cast;
mod conv;
mod host;
mod indexing;
mod linear;
mod math;
mod microsoft;
mod n_bits;
mod narrow;
mod norm;
mod pool;
mod qlinear;
mod quantize;
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

/// An operator that ONNX Runtime adds to the standard ones; quantisers write models with them.
const fn microsoft(name: &'static str, translate: Translate) -> Operator {
    Operator { domain: "com.microsoft", name, place: Where::Device, translate }
}

const FILES: &[&[Operator]] = &[
    cast::OPERATORS,
    conv::OPERATORS,
    host::OPERATORS,
    indexing::OPERATORS,
    linear::OPERATORS,
    math::OPERATORS,
    microsoft::OPERATORS,
    n_bits::OPERATORS,
    norm::OPERATORS,
    pool::OPERATORS,
    qlinear::OPERATORS,
    quantize::OPERATORS,
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
