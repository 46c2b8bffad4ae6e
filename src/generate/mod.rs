//! Text from language models: sequences, sampling, chat templates and stop rules over a [`LanguageModel`].
//!
//! [`Engine`] is a model on a device; it is cheap to clone and can be used from many threads. [`Sequence`] is one text
//! under way, with its own key-value cache; [`Sequence::generate`] is an iterator of text pieces, [`Engine::stream`] the
//! same for async code.
//!
//! [`LanguageModel`]: crate::models::LanguageModel

mod engine;
mod generation;
pub mod sampling;
mod score;
mod sequence;
pub mod stop;
mod stream;
pub mod template;

pub use engine::{Engine, Options};
pub use generation::{FinishReason, Generation, Piece, Prompt, Request, Statistics};
pub use sampling::Sampling;
pub use score::Score;
pub use sequence::Sequence;
pub use stop::StopRules;
pub use stream::TextStream;
pub use template::Message;
