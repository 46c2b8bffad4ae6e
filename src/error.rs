//! The one error type of the crate. Every variant says who failed, what was wrong and where.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, in terms a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to open, map or read a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not follow its format; `place` names the field, the tensor and, where it is known, the byte offset.
    #[error("malformed {place}: {what}")]
    Format {
        /// Where in the file, for example `GGUF metadata key 3 at byte 120`.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// The file is sound, but it asks for something that this crate does not do.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// An op got operands that its shape rule refuses.
    #[error("{op}: {what}")]
    Shape {
        /// The op, and the node's name where it is known.
        op: String,
        /// Which operand, its shape, and what was expected.
        what: String,
    },
    /// A graph or a plan breaks one of its own rules: a bug of the builder or of a planner pass.
    #[error("invalid {stage}: {what}")]
    Invalid {
        /// Which stage found it, for example `graph after pass fuse-tails`.
        stage: String,
        /// The rule that is broken and by whom.
        what: String,
    },
    /// The caller asked for something impossible, for example a prompt that is longer than the context.
    #[error("{0}")]
    Request(String),
    /// There is no GPU device of the kind that was asked for.
    #[error("{0}")]
    NoDevice(String),
    /// The device refused work, ran out of memory or was lost.
    #[error("GPU device '{device}': {what}")]
    Device {
        /// The adapter's name.
        device: String,
        /// What happened and, where known, during which step.
        what: String,
    },
    /// A dispatch differed from the CPU reference (`--check`).
    #[error("{0}")]
    Check(String),
}

impl Error {
    /// A [`Error::Format`] from its two halves.
    pub fn format(place: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Format { place: place.into(), what: what.into() }
    }

    /// A [`Error::Shape`] from its two halves.
    pub fn shape(op: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Shape { op: op.into(), what: what.into() }
    }

    /// A [`Error::Invalid`] from its two halves.
    pub fn invalid(stage: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Invalid { stage: stage.into(), what: what.into() }
    }

    /// An [`Error::Io`] for `path`.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Error::Io { path: path.to_owned(), source }
    }
}
