//! In which numbers a graph's products multiply.

use serde::{Deserialize, Serialize};

use super::quantize_activations;
use crate::error::Result;
use crate::graph::Graph;
use crate::ops::Op;

/// In which numbers products multiply. All but the first change results by more than rounding in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// Products with many tokens may round their operands to f16 and sum a few products in it, where a device does so faster
    /// ([`MatMul::half`](crate::ops::MatMul::half), [`Attention::half`](crate::ops::Attention::half)). Magnitudes beyond 65504 become
    /// infinite.
    F16,
    /// Products with weights of block formats take activations as bytes, with a scale for every 32
    /// ([`QuantizedMatMul`](crate::ops::QuantizedMatMul)). Whether a device multiplies bytes faster than floats, wgpu does not
    /// say: most GPUs do that Vulkan or DX12 drive, none does that Metal drives.
    Int8,
}

/// Makes the products of an optimised graph multiply in numbers of that precision, and returns how many it changed.
///
/// # Errors
/// Those of [`quantize_activations`].
pub fn set_precision(graph: &mut Graph, precision: Precision) -> Result<usize> {
    match precision {
        Precision::F32 => Ok(0),
        Precision::F16 => Ok(graph.nodes.iter_mut().map(|node| usize::from(allow_half(&mut node.op))).sum()),
        Precision::Int8 => quantize_activations(graph),
    }
}

fn allow_half(op: &mut Op) -> bool {
    let half = match op {
        Op::MatMul(product) => &mut product.half,
        Op::Attention(attention) => &mut attention.half,
        _ => return false,
    };
    !std::mem::replace(half, true)
}
