//! What the graphs here are made with.

use crate::dtype::DType;
use crate::graph::{Graph, GraphBuilder, ValueId};
use crate::ops::Op;
use crate::tensor::Weight;

/// A weight of zeros.
pub fn weight(dtype: DType, rows: usize, columns: usize) -> Weight {
    let bytes = vec![0u8; rows * dtype.row_bytes(columns).unwrap()];
    let n = bytes.len();
    Weight::new(dtype, &[rows, columns], std::sync::Arc::new(bytes), 0..n).unwrap()
}

/// A graph of one node.
pub fn one(op: impl Into<Op>, operands: impl FnOnce(&mut GraphBuilder) -> Vec<ValueId>) -> Graph {
    let mut b = GraphBuilder::new();
    let ids = operands(&mut b);
    b.node("node", op, &ids).unwrap().into_iter().for_each(|id| b.output(id));
    b.finish().unwrap()
}
