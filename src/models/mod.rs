//! Model families: from a file's names and numbers to a graph. One file per family, dense and quantised alike.

mod language;
mod llama;
mod rope;
mod srvgg;
#[cfg(feature = "text")]
pub mod vocabulary;

pub use language::{Architecture, LanguageModel, MOST_TOP_K, Outputs, StepInputs};
pub use llama::Llama;
pub use rope::RopeScaling;
pub use srvgg::Srvgg;
