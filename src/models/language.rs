//! What all language models share: opening a file, the inputs of a step, and what may be asked of its logits.
//!
//! A step works on `T` tokens of any sequences and yields logits for `R` of them. Its graph has the inputs of
//! [`StepInputs`] and offers the outputs of [`Outputs`]; a run computes only those that it asks for.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::llama::Llama;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::formats::Gguf;
use crate::formats::gguf::TensorInfo;
use crate::graph::{Graph, GraphBuilder, ValueId};
use crate::ops::{ArgMax, Nll, TopK};
use crate::plan::passes;
use crate::session::pages::CacheShape;
use crate::shape::Dim;
use crate::tensor::{Owner, Weight};

/// The `k` of the top-k outputs, each offered where the vocabulary is larger.
const TOP_K: [usize; 3] = [64, 256, TopK::MOST];

/// The most candidates that a device can pick out of the logits.
pub const MOST_TOP_K: usize = TopK::MOST;

/// The inputs of a step, in the graph's order; all u32.
#[derive(Clone, Debug)]
pub struct StepInputs {
    /// `[T]`: token ids.
    pub tokens: ValueId,
    /// `[T]`: the slot of each token's sequence, or [`NO_SLOT`](crate::ops::cache_write::NO_SLOT).
    pub slots: ValueId,
    /// `[T]`: each token's position in its sequence.
    pub positions: ValueId,
    /// `[slots, blocks]`: the pages of each slot.
    pub blocks: ValueId,
    /// `[R]`: the tokens whose logits are wanted.
    pub rows: ValueId,
    /// `[R]`: the token whose likelihood is wanted at each row.
    pub targets: ValueId,
}

impl StepInputs {
    fn declare(b: &mut GraphBuilder, cache: &CacheShape) -> Self {
        let (t, r) = (|| Dim::sym("T"), || Dim::sym("R"));
        StepInputs {
            tokens: b.input("tokens", DType::U32, [t()]),
            slots: b.input("slots", DType::U32, [t()]),
            positions: b.input("positions", DType::U32, [t()]),
            blocks: b.input("blocks", DType::U32, [cache.slots.into(), cache.blocks().into()]),
            rows: b.input("rows", DType::U32, [r()]),
            targets: b.input("targets", DType::U32, [r()]),
        }
    }
}

/// Places of the outputs in a step's graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outputs;

impl Outputs {
    /// `[R, vocabulary]` f32.
    pub const LOGITS: usize = 0;
    /// `[R]` u32: the best token of each row.
    pub const BEST: usize = 1;
    /// `[R]` f32: its logit, minus infinity where no logit is a number.
    pub const BEST_LOGIT: usize = 2;
    /// `[R]` f32: the negative log-likelihood of each row's target.
    pub const NLL: usize = 3;

    /// The places of values `[R, n]` f32 and ids `[R, n]` u32 of the best `n >= k`; none where only the logits as a whole
    /// will do.
    pub fn top_k(k: usize, vocabulary: usize) -> Option<[usize; 2]> {
        let offered = TOP_K.iter().filter(|n| **n < vocabulary).position(|n| *n >= k)?;
        Some([4 + 2 * offered, 5 + 2 * offered])
    }
}

/// The family of a model with its numbers.
#[derive(Clone, Debug)]
pub enum Architecture {
    /// Llama, Mistral, SmolLM.
    Llama(Llama),
}

/// A language model: a file and what it describes. Cloning shares it.
#[derive(Clone)]
pub struct LanguageModel {
    file: Arc<Gguf>,
    architecture: Architecture,
}

/// The tensors of a file as weights of a graph; remembers which were used.
pub(super) struct Tensors<'a> {
    file: &'a Arc<Gguf>,
    used: Mutex<HashSet<String>>,
}

impl Tensors<'_> {
    fn weight(&self, tensor: &TensorInfo) -> Result<Weight> {
        // Names the tensor when its type cannot be loaded.
        self.file.data(tensor)?;
        let dtype = tensor.dtype.ok_or_else(|| Error::Unsupported(format!("tensor '{}'", tensor.name)))?;
        self.used.lock().unwrap_or_else(|e| e.into_inner()).insert(tensor.name.clone());
        // The file itself, so that all graphs of the model have the same weights.
        let owner: Owner = self.file.clone();
        Weight::new(dtype, &tensor.shape, owner, tensor.offset..tensor.offset + tensor.bytes)
    }

    /// The tensor `name`, if there is one.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Weight>> {
        self.file.tensor(name).map(|tensor| self.weight(tensor)).transpose()
    }

    /// The tensor `name`.
    pub(super) fn require(&self, name: &str) -> Result<Weight> {
        self.optional(name)?.ok_or_else(|| Error::format(self.file.name(), format!("the tensor '{name}' is missing")))
    }

    /// Refuses a file with tensors that the model did not use: it would compute something else than was trained.
    fn finish(self) -> Result<()> {
        let used = self.used.into_inner().unwrap_or_else(|e| e.into_inner());
        let names = self.file.tensors().iter().map(|t| t.name.as_str());
        let unused: Vec<&str> = names.filter(|name| !used.contains(*name)).collect();
        match unused.split_first() {
            None => Ok(()),
            Some((first, [])) => Err(Error::Unsupported(format!("the tensor '{first}' in a model of this architecture"))),
            Some((first, rest)) => {
                Err(Error::Unsupported(format!("the tensor '{first}' and {} more in a model of this architecture", rest.len())))
            }
        }
    }
}

impl LanguageModel {
    /// Opens a GGUF file and reads its numbers; weights stay in the file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] naming the place, [`Error::Unsupported`] naming the architecture.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_gguf(Gguf::open(path)?)
    }

    /// The model that an open file describes.
    ///
    /// # Errors
    /// As [`LanguageModel::open`].
    pub fn from_gguf(file: Gguf) -> Result<Self> {
        let name: &str = file.require("general.architecture")?;
        let architecture = match name {
            "llama" => Architecture::Llama(Llama::from_gguf(&file, name)?),
            other => return Err(Error::Unsupported(format!("the architecture '{other}'; this version runs 'llama'"))),
        };
        Ok(LanguageModel { file: Arc::new(file), architecture })
    }

    /// The file.
    pub fn file(&self) -> &Gguf {
        &self.file
    }

    /// The family and its numbers.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The longest sequence that the model was trained on.
    pub fn context(&self) -> usize {
        match &self.architecture {
            Architecture::Llama(llama) => llama.context,
        }
    }

    /// The number of token ids.
    pub fn vocabulary(&self) -> usize {
        match &self.architecture {
            Architecture::Llama(llama) => llama.vocabulary,
        }
    }

    /// Bytes of a key-value cache of that shape and element type.
    pub fn cache_bytes(&self, cache: &CacheShape, dtype: DType) -> u64 {
        let positions = (cache.pages() * crate::session::pages::PAGE) as u64;
        let (block, bytes) = dtype.block();
        match &self.architecture {
            Architecture::Llama(m) => 2 * m.layers as u64 * positions * (m.kv_heads * m.head_dim * bytes / block) as u64,
        }
    }

    /// The optimised graph of a step, and how many places each pass changed. Weights have the same places whatever the
    /// cache, so that sessions can share them.
    ///
    /// # Errors
    /// [`Error::Format`] naming a missing tensor, [`Error::Shape`] naming a node whose tensors do not fit, and
    /// [`Error::Unsupported`] naming a tensor that the family does not know.
    pub fn graph(&self, cache: &CacheShape, cache_dtype: DType) -> Result<(Graph, Vec<(&'static str, usize)>)> {
        let mut b = GraphBuilder::new();
        let inputs = StepInputs::declare(&mut b, cache);
        let tensors = Tensors { file: &self.file, used: Mutex::default() };
        let logits = match &self.architecture {
            Architecture::Llama(llama) => llama.build(&mut b, &tensors, &inputs, cache, cache_dtype)?,
        };
        tensors.finish()?;
        b.output(logits);
        b.node("best", ArgMax, &[logits])?.into_iter().for_each(|id| b.output(id));
        let nll = b.one("nll", Nll, &[logits, inputs.targets])?;
        b.output(nll);
        for k in TOP_K.into_iter().filter(|k| *k < self.vocabulary()) {
            b.node(format!("top {k}"), TopK { k }, &[logits])?.into_iter().for_each(|id| b.output(id));
        }
        passes::optimize(b.finish()?)
    }
}
