//! A language model on a device, with its tokenizer and chat template.

use std::path::Path;
use std::sync::Arc;

use super::sequence::Sequence;
use super::template::{ChatTemplate, Message, TemplateOptions};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::WeightStore;
use crate::models::LanguageModel;
use crate::models::vocabulary::vocabulary_from_gguf;
use crate::plan::passes::Precision;
use crate::session::Device;
use crate::session::pages::CacheShape;
use crate::tokenizer::{Special, Tokenizer};

/// How sequences are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most tokens of a sequence, prompt included. Default: 4096, or the model's context where that is shorter.
    pub context: Option<usize>,
    /// Element type of the key-value cache: f16 or f32. Default: f16 on a GPU, f32 on the CPU.
    pub cache: Option<DType>,
    /// In which numbers products with weights multiply. Default: f32.
    pub precision: Precision,
    /// Most tokens of one step of a prompt, a power of two. Default 256.
    pub chunk: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { context: None, cache: None, precision: Precision::F32, chunk: 256 }
    }
}

impl Options {
    /// The same with steps of one token, so that every token goes through the same kernels: then results are the same to the last bit
    /// however a text is cut into steps, whatever of it the cache holds already and whatever else the device does. Longer steps are
    /// summed up in another order. A prompt takes as long as an answer of its length.
    pub fn reproducible(self) -> Self {
        Options { chunk: 1, ..self }
    }

    /// Most tokens of a sequence of `model`.
    ///
    /// # Errors
    /// [`Error::Request`] for a context that the model was not trained for.
    pub fn context_of(&self, model: &LanguageModel) -> Result<usize> {
        let trained = model.context();
        let context = self.context.unwrap_or(trained.min(4096));
        if context == 0 || context > trained {
            return Err(Error::Request(format!("a context of {context} tokens: the model was trained for 1 to {trained}")));
        }
        Ok(context)
    }
}

/// A model on a device. Cloning shares it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    model: LanguageModel,
    device: Device,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    weights: Option<Arc<WeightStore>>,
}

impl Engine {
    /// Opens a GGUF model for a device. Weights are uploaded when the first sequence is made.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] naming the place in the file, [`Error::Unsupported`] naming the feature.
    pub fn open(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        Self::new(LanguageModel::open(path.as_ref())?, device)
    }

    /// A model that is open already.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn new(model: LanguageModel, device: Device) -> Result<Self> {
        let tokenizer = Tokenizer::new(vocabulary_from_gguf(model.file())?)?;
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default().to_owned();
        let template = match model.file().optional::<&str>("tokenizer.chat_template")? {
            Some(source) => Some(ChatTemplate::new(source, &text(tokenizer.bos()), &text(tokenizer.eos()))?),
            None => None,
        };
        let weights = match &device {
            Device::Cpu => None,
            Device::Gpu(gpu) => Some(WeightStore::new(gpu)),
        };
        Ok(Engine(Arc::new(Inner { model, device, tokenizer, template, weights })))
    }

    /// The model.
    pub fn model(&self) -> &LanguageModel {
        &self.0.model
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.0.tokenizer
    }

    /// The weights on the device, where it is a GPU.
    pub fn weights(&self) -> Option<&Arc<WeightStore>> {
        self.0.weights.as_ref()
    }

    /// Whether the model has a chat template.
    pub fn can_chat(&self) -> bool {
        self.0.template.is_some()
    }

    /// The token ids of a conversation, rendered by the model's chat template up to where the assistant speaks.
    ///
    /// # Errors
    /// [`Error::Request`] when the model has no template or the template refuses the messages.
    pub fn chat_prompt(&self, messages: &[Message]) -> Result<Vec<u32>> {
        let missing = || Error::Request("the model has no chat template; give it a raw prompt".into());
        let template = self.0.template.as_ref().ok_or_else(missing)?;
        let options = TemplateOptions { add_generation_prompt: true, ..Default::default() };
        self.0.tokenizer.encode(&template.render(messages, &options)?, Special::TEMPLATE)
    }

    /// A sequence with an empty cache, ready to run.
    ///
    /// # Errors
    /// [`Error::Request`] for options out of range, [`Error::Device`] when memory does not suffice.
    pub fn sequence(&self, options: &Options) -> Result<Sequence> {
        self.sequence_with_progress(options, &mut |_, _| {})
    }

    /// Like [`Engine::sequence`]; `progress` is told the bytes of weights uploaded and to upload.
    ///
    /// # Errors
    /// As [`Engine::sequence`].
    pub fn sequence_with_progress(&self, options: &Options, progress: crate::gpu::Progress<'_>) -> Result<Sequence> {
        let context = options.context_of(&self.0.model)?;
        if !options.chunk.is_power_of_two() {
            return Err(Error::Request(format!("steps of {} tokens: must be a power of two", options.chunk)));
        }
        let dtype = options.cache.unwrap_or(match self.0.device {
            Device::Cpu => DType::F32,
            Device::Gpu(_) => DType::F16,
        });
        if !matches!(dtype, DType::F16 | DType::F32) {
            return Err(Error::Request(format!("a key-value cache of {dtype}: must be f16 or f32")));
        }
        Sequence::new(self.clone(), CacheShape { slots: 1, context }, dtype, options, progress)
    }
}
