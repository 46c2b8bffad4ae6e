//! What the graphs here are made with.

use crate::dtype::DType;
use crate::graph::{Graph, GraphBuilder, ValueId};
use crate::ops::Op;
use crate::tensor::Weight;
use crate::tensor::example::{Numbers, weight_bytes};

/// A weight of made-up values.
pub fn weight(dtype: DType, rows: usize, columns: usize) -> Weight {
    let bytes = weight_bytes(dtype, rows, columns, 1, 0.05);
    let n = bytes.len();
    Weight::new(dtype, &[rows, columns], std::sync::Arc::new(bytes), 0..n).unwrap()
}

/// A weight of `n` numbers.
pub fn vector(n: usize) -> Weight {
    Weight::from_f32(&[n], &Numbers::new(2).units(n)).unwrap()
}

/// A graph of one node.
pub fn one(op: impl Into<Op>, operands: impl FnOnce(&mut GraphBuilder) -> Vec<ValueId>) -> Graph {
    let mut b = GraphBuilder::new();
    let ids = operands(&mut b);
    b.node("node", op, &ids).unwrap().into_iter().for_each(|id| b.output(id));
    b.finish().unwrap()
}
