//! Tokenizers of real models: the ids that llama.cpp and transformers give, from the models' own GGUF files.
#![cfg(feature = "text")]

mod support;

use std::path::Path;

use serde::Deserialize;
use wavelane::error::Result;
use wavelane::formats::Gguf;
use wavelane::models::vocabulary::vocabulary_from_gguf;
use wavelane::tokenizer::{Special, Tokenizer, Vocabulary};

/// What the golden file knows of each prompt, as far as it concerns the tokenizer.
#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    prompt: String,
    ids: Vec<u32>,
}

fn vocabulary(path: &Path) -> Result<Vocabulary> {
    vocabulary_from_gguf(&Gguf::open(path)?)
}

/// The text that a stream makes of `ids`, checking every piece.
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = tokenizer.stream();
    let pieces: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    assert!(pieces.iter().all(|piece| !piece.contains(char::REPLACEMENT_CHARACTER)), "a character was split: {pieces:?}");
    pieces.concat() + &stream.finish()
}

#[test]
fn smollm2_prompts() -> Result<()> {
    let Some(path) = support::model_path() else { return Ok(()) };
    let tokenizer = Tokenizer::new(vocabulary(&path)?)?;
    let goldens = include_str!("data/goldens/smollm2-135m-instruct-q4_1.json");
    let Goldens { cases } = serde_json::from_str(goldens).expect("the goldens are JSON");
    assert_eq!(cases.len(), 5);
    for Case { prompt, ids } in cases {
        assert_eq!(tokenizer.encode(&prompt, Special::TEXT)?, ids, "{prompt:?}");
        assert_eq!(tokenizer.decode(&ids), prompt);
        assert_eq!(streamed(&tokenizer, &ids), prompt);
    }
    Ok(())
}

#[test]
fn smollm2_control_tokens() -> Result<()> {
    let Some(path) = support::model_path() else { return Ok(()) };
    let tokenizer = Tokenizer::new(vocabulary(&path)?)?;
    let (start, end) = (tokenizer.id("<|im_start|>"), tokenizer.id("<|im_end|>"));
    assert_eq!((start, end), (Some(1), Some(2)));
    let text = "<|im_start|>user\nHi<|im_end|>\n";
    let parsed = tokenizer.encode(text, Special::TEMPLATE)?;
    assert_eq!((parsed.first().copied(), parsed.get(parsed.len() - 2).copied()), (start, end));
    assert_eq!(tokenizer.decode(&parsed), "user\nHi\n");
    let plain = tokenizer.encode(text, Special::TEXT)?;
    assert!(plain.iter().all(|id| ![start, end].contains(&Some(*id))), "{plain:?}");
    assert_eq!(tokenizer.decode(&plain), text);
    assert!(tokenizer.is_end(2) && tokenizer.is_end(0) && !tokenizer.is_end(1));
    Ok(())
}

/// `ggml-vocab-NAME.gguf` with texts in `.inp`, each ended by a marker line, and their ids in `.out`, a line each.
#[test]
fn vocabularies_of_llama_cpp() -> Result<()> {
    let Some(folder) = support::vocabularies_path() else { return Ok(()) };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.extension().is_none_or(|extension| extension != "gguf") || !path.with_extension("gguf.inp").exists() {
            continue;
        }
        let vocabulary = vocabulary(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !["gpt2", "gemma4", "llama"].contains(&vocabulary.model.as_str()) {
            eprintln!("{name}: the model '{}' is not tested here", vocabulary.model);
            continue;
        }
        let tokenizer = Tokenizer::new(vocabulary)?;
        let read = |extension| std::fs::read_to_string(path.with_extension(extension)).expect("texts and ids are readable");
        let (texts, ids) = (read("gguf.inp"), read("gguf.out"));
        let texts: Vec<&str> = texts.split_terminator("\n__ggml_vocab_test__\n").collect();
        assert!(texts.len() == ids.lines().count() && texts.len() >= 40, "{name}: {} texts", texts.len());
        for (text, ids) in texts.iter().zip(ids.lines()) {
            let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().expect("an id")).collect();
            assert_eq!(tokenizer.encode(text, Special::NONE)?, ids, "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&ids), *text, "{name}");
            // A SentencePiece stream keeps the space that stands before every text.
            assert!(streamed(&tokenizer, &ids).ends_with(text), "{name}: {text:?}");
        }
        names.push(name);
    }
    names.sort();
    assert_eq!(names.len(), 14, "{names:?}");
    Ok(())
}
