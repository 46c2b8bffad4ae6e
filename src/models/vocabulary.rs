//! The vocabulary inside a GGUF file.

use crate::error::Result;
use crate::formats::Gguf;
use crate::formats::gguf::FromValue;
use crate::tokenizer::Vocabulary;

/// Reads what `file` says under `tokenizer.ggml.`; whether it makes sense is for
/// [`Tokenizer::new`](crate::tokenizer::Tokenizer::new) to check.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) naming the key that has the wrong type, or is absent though every vocabulary has it
/// (`model`, `tokens`).
pub fn vocabulary_from_gguf(file: &Gguf) -> Result<Vocabulary> {
    let texts = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<String>>();
    Ok(Vocabulary {
        model: file.require::<&str>("tokenizer.ggml.model")?.to_owned(),
        pre: get::<&str>(file, "pre")?.map(str::to_owned),
        tokens: texts(file.require("tokenizer.ggml.tokens")?),
        scores: get(file, "scores")?,
        token_types: get(file, "token_type")?,
        merges: get(file, "merges")?.map(texts).unwrap_or_default(),
        bos: get(file, "bos_token_id")?,
        eos: get(file, "eos_token_id")?,
        eot: get(file, "eot_token_id")?,
        unknown: get(file, "unknown_token_id")?,
        padding: get(file, "padding_token_id")?,
        add_bos: get(file, "add_bos_token")?,
        add_eos: get(file, "add_eos_token")?,
        add_space_prefix: get(file, "add_space_prefix")?,
        remove_extra_whitespaces: get(file, "remove_extra_whitespaces")?,
    })
}

fn get<'a, T: FromValue<'a>>(file: &'a Gguf, key: &str) -> Result<Option<T>> {
    file.optional(&format!("tokenizer.ggml.{key}"))
}
