//! Vocabularies as GGUF files state them, and texts under them.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wavelane::tokenizer::{Special, Tokenizer, Vocabulary};

/// A [`Vocabulary`] of short lists, and a text.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    model: u8,
    pre: u8,
    tokens: Vec<&'a str>,
    scores: Option<Vec<f32>>,
    token_types: Option<Vec<u8>>,
    merges: Vec<(u8, u8)>,
    bos: Option<u8>,
    eos: Option<u8>,
    unknown: Option<u8>,
    add_bos: Option<bool>,
    add_eos: Option<bool>,
    add_space_prefix: Option<bool>,
    text: &'a str,
}

const MODELS: [&str; 3] = ["gpt2", "gemma4", "llama"];
const PRE: [&str; 8] = ["default", "llama-bpe", "gpt-2", "qwen2", "deepseek-llm", "falcon", "smollm", "tekken"];

fuzz_target!(|input: Input| {
    let pick = |names: &[&str], index: u8| names[usize::from(index) % names.len()].to_owned();
    let token = |index: u8| input.tokens.get(usize::from(index)).copied().unwrap_or_default();
    let vocabulary = Vocabulary {
        model: pick(&MODELS, input.model),
        pre: Some(pick(&PRE, input.pre)),
        tokens: input.tokens.iter().map(|token| (*token).to_owned()).collect(),
        scores: input.scores,
        token_types: input.token_types.map(|types| types.into_iter().map(|kind| i32::from(kind % 8)).collect()),
        merges: input.merges.iter().map(|(left, right)| format!("{} {}", token(*left), token(*right))).collect(),
        bos: input.bos.map(u32::from),
        eos: input.eos.map(u32::from),
        unknown: input.unknown.map(u32::from),
        add_bos: input.add_bos,
        add_eos: input.add_eos,
        add_space_prefix: input.add_space_prefix,
        ..Vocabulary::default()
    };
    let Ok(tokenizer) = Tokenizer::new(vocabulary) else { return };
    let Ok(ids) = tokenizer.encode(input.text, Special { add: true, parse: true }) else { return };
    assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()));
    let _ = tokenizer.decode(&ids);
});
