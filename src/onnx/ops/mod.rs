//! The operators: for each a function that says it in graph ops, views or host steps, in a file with those of its kind.

mod activation;
mod attention;
mod bytes;
mod cache;
mod cast;
mod constants;
mod contrib_attention;
mod contrib_quantized;
mod conv;
mod einsum;
mod formula;
mod fourier;
mod fused;
mod host;
mod image;
mod indexing;
mod linear;
mod linear_attention;
mod loss;
mod math;
mod n_bits;
mod narrow;
mod norm;
mod pool;
mod qlinear;
mod quantize;
mod random;
mod recurrent;
mod recurrent_layer;
mod reduce;
mod rotary;
mod shape;
mod signal;
mod text;
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

/// An operator that ONNX Runtime adds to the standard ones; quantisers and optimisers write models with them.
const fn contrib(name: &'static str, translate: Translate) -> Operator {
    Operator { domain: "com.microsoft", name, place: Where::Device, translate }
}

const fn nowhere(name: &'static str, translate: Translate) -> Operator {
    Operator { domain: "", name, place: Where::Nowhere, translate }
}

const FILES: &[&[Operator]] = &[
    attention::OPERATORS,
    cache::OPERATORS,
    cast::OPERATORS,
    constants::OPERATORS,
    contrib_attention::OPERATORS,
    contrib_quantized::OPERATORS,
    conv::OPERATORS,
    einsum::OPERATORS,
    fused::OPERATORS,
    host::OPERATORS,
    image::OPERATORS,
    indexing::OPERATORS,
    linear::OPERATORS,
    linear_attention::OPERATORS,
    loss::OPERATORS,
    math::OPERATORS,
    n_bits::OPERATORS,
    norm::OPERATORS,
    pool::OPERATORS,
    qlinear::OPERATORS,
    quantize::OPERATORS,
    random::OPERATORS,
    recurrent::OPERATORS,
    reduce::OPERATORS,
    rotary::OPERATORS,
    shape::OPERATORS,
    signal::OPERATORS,
    text::OPERATORS,
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
