//! ONNX models: from nodes over named values to stages of graphs and steps of the host.
//!
//! A model is traced for the exact shapes of its inputs. Whatever the host knows by then, weights and arithmetic of shapes
//! foremost, is computed at once by the reference of the same ops; all else becomes nodes of a graph. Where the host must see
//! elements that the graph computes, because a shape or a branch depends on them, the graph ends: it is a *stage*, which
//! runs before tracing goes on. Stages are kept and found again by all that decided about them.

mod context;
mod frames;
mod ops;
mod session;
mod tracer;
mod value;
mod walk;

pub use ops::{Operator, Where, operators};
pub use session::{Session, StageSummary};
pub use value::{Array, Placed};
