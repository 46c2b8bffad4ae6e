//! Small vocabularies whose ids follow from reasoning.

use super::{Special, Tokenizer, Vocabulary};
use crate::error::{Error, Result};

const BOS: u32 = 256;
const EOS: u32 = 257;

/// GPT-2's spelling of a byte.
fn spell(byte: u8) -> String {
    let shifted = match byte {
        0..=0x20 => 0x100 + u32::from(byte),
        0x7F..=0xA0 => 0x121 + u32::from(byte) - 0x7F,
        0xAD => 0x143,
        _ => u32::from(byte),
    };
    char::from_u32(shifted).unwrap().to_string()
}

/// A byte-level vocabulary: id n is byte n, 256 and 257 are BOS and EOS, and from 258 on come the results of `merges` and then
/// the tokens of `extra` with their types.
fn byte_level(pre: &str, merges: &[&str], extra: &[(&str, i32)]) -> Vocabulary {
    let mut tokens: Vec<String> = (0..=255).map(spell).collect();
    let mut types = vec![1; 256];
    tokens.extend(["<bos>".into(), "<|endoftext|>".into()]);
    types.extend([3, 3]);
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    types.resize(tokens.len(), 1);
    tokens.extend(extra.iter().map(|(token, _)| token.to_string()));
    types.extend(extra.iter().map(|(_, kind)| kind));
    Vocabulary {
        model: "gpt2".into(),
        pre: Some(pre.into()),
        tokens,
        token_types: Some(types),
        merges: merges.iter().map(|merge| merge.to_string()).collect(),
        bos: Some(BOS),
        eos: Some(EOS),
        ..Vocabulary::default()
    }
}

/// A SentencePiece vocabulary: `<unk>`, `<s>`, `</s>` and then `tokens` from id 3 on with their scores.
fn sentence_piece(tokens: &[(&str, f32)]) -> Vocabulary {
    let named = ["<unk>", "<s>", "</s>"].into_iter().map(|token| (token, 0.0));
    let (tokens, scores): (Vec<String>, Vec<f32>) = named.chain(tokens.iter().copied()).map(|(t, s)| (t.to_owned(), s)).unzip();
    let kind = |token: &String| if token.starts_with("<0x") { 6 } else { 1 };
    let mut types: Vec<i32> = tokens.iter().map(kind).collect();
    types[..3].copy_from_slice(&[2, 3, 3]);
    Vocabulary {
        model: "llama".into(),
        tokens,
        scores: Some(scores),
        token_types: Some(types),
        bos: Some(1),
        eos: Some(2),
        unknown: Some(0),
        ..Vocabulary::default()
    }
}

fn encode(vocabulary: Vocabulary, text: &str) -> Vec<u32> {
    Tokenizer::new(vocabulary).unwrap().encode(text, Special::NONE).unwrap()
}

/// The ids with 258 and up as given and bytes as characters: `[b('a'), 258]`.
fn b(character: char) -> u32 {
    character.into()
}

#[test]
fn merges_go_by_rank_and_then_from_the_left() {
    assert_eq!(encode(byte_level("gpt-2", &["b c", "a b"], &[]), "abc"), [b('a'), 258]);
    assert_eq!(encode(byte_level("gpt-2", &["a b", "b c"], &[]), "abc"), [258, b('c')]);
    assert_eq!(encode(byte_level("gpt-2", &["a a"], &[]), "aaa"), [258, b('a')]);
    // "ab" + "cd" is rank 2, but "b c" at rank 0 takes both apart.
    assert_eq!(encode(byte_level("gpt-2", &["b c", "a b", "c d"], &[]), "abcd"), [b('a'), 258, b('d')]);
    assert_eq!(encode(byte_level("gpt-2", &["a b", "c d", "ab cd"], &[]), "abcd"), [260]);
}

#[test]
fn characters_without_tokens_are_bytes() {
    assert_eq!(encode(byte_level("gpt-2", &[], &[]), "é\0"), [0xC3, 0xA9, 0]);
    // é is spelled "Ã©".
    assert_eq!(encode(byte_level("gpt-2", &["Ã ©"], &[]), "éé"), [258, 258]);
}

#[test]
fn merges_stay_within_words() {
    // "a b" is cut as "a", " b".
    assert_eq!(encode(byte_level("gpt-2", &["a Ġ", "Ġ b"], &[]), "a b"), [b('a'), 259]);
    // Of three spaces GPT-2 leaves the last to the word.
    assert_eq!(encode(byte_level("gpt-2", &["Ġ Ġ", "Ġ b"], &[]), "a   b"), [b('a'), 258, 259]);
    // At the end of a text they stay together.
    assert_eq!(encode(byte_level("gpt-2", &["Ġ Ġ", "ĠĠ Ġ"], &[]), "   "), [259]);
}

#[test]
fn digits_are_cut_as_the_name_says() {
    let merges = ["1 2", "12 3", "3 4", "123 4"];
    let ids = |pre| encode(Vocabulary { add_bos: Some(false), ..byte_level(pre, &merges, &[]) }, "1234");
    assert_eq!(ids("gpt-2"), [261]);
    assert_eq!(ids("llama-bpe"), [259, b('4')]); // 123|4
    assert_eq!(ids("qwen2"), [b('1'), b('2'), b('3'), b('4')]);
    assert_eq!(ids("smollm"), [b('1'), b('2'), b('3'), b('4')]);
    assert_eq!(ids("falcon"), [259, b('4')]);
    assert_eq!(ids("tiny_aya"), [b('1'), b('2'), 260]); // 1|234, grouped from the right; within 234 only "3 4" merges
}

#[test]
fn contractions_are_words() {
    let merges = ["n '", "' t", "' T"];
    let ids = |pre, text| encode(byte_level(pre, &merges, &[]), text);
    assert_eq!(ids("gpt-2", "n't"), [b('n'), 259]);
    // GPT-2 knows lower case only; there "'" and "T" are two words.
    assert_eq!(ids("gpt-2", "n'T"), [b('n'), b('\''), b('T')]);
    assert_eq!(ids("qwen2", "n'T"), [b('n'), 260]);
}

#[test]
fn line_ends_are_cut_as_the_name_says() {
    let ids = |pre, text| encode(byte_level(pre, &["Ċ Ċ", "ĊĊ Ċ"], &[]), text);
    // Before a word GPT-2 splits the last one off; Qwen keeps runs of line ends whole.
    assert_eq!(ids("gpt-2", "a\n\nb"), [b('a'), b('\n'), b('\n'), b('b')]);
    assert_eq!(ids("qwen2", "a\n\nb"), [b('a'), 258, b('b')]);
    assert_eq!(ids("qwen2", "\n\n\n"), [259]);
    assert_eq!(ids("deepseek-coder", "\n\n"), [b('\n'), b('\n')]);
}

#[test]
fn whole_words_may_go_before_merges() {
    let extra = [("xyz", 1)];
    assert_eq!(encode(byte_level("llama-bpe", &[], &extra), "xyz"), [258]);
    assert_eq!(encode(byte_level("qwen2", &[], &extra), "xyz"), [b('x'), b('y'), b('z')]);
}

#[test]
fn control_tokens_in_a_text() {
    let extra = [("<|x|>", 3), ("<u>", 4), ("<u><u>", 4)];
    let tokenizer = Tokenizer::new(byte_level("gpt-2", &[], &extra)).unwrap();
    let text = "é<|x|><u><u><u>";
    assert_eq!(tokenizer.encode(text, Special::TEMPLATE).unwrap(), [0xC3, 0xA9, 258, 260, 259]);
    // As plain text the control token is spelled out; the user-defined ones are text anyway.
    let plain: Vec<u32> = "é<|x|>".bytes().map(u32::from).chain([260, 259]).collect();
    assert_eq!(tokenizer.encode(text, Special::NONE).unwrap(), plain);
    assert_eq!(tokenizer.decode(&[b('a'), 258, 259, EOS, b('b')]), "a<u>b");
}

#[test]
fn bos_and_eos_are_added_as_the_vocabulary_asks() {
    let ids = |vocabulary| Tokenizer::new(vocabulary).unwrap().encode("a", Special::TEXT).unwrap();
    assert_eq!(ids(byte_level("gpt-2", &[], &[])), [b('a')]);
    assert_eq!(ids(byte_level("llama-bpe", &[], &[])), [BOS, b('a')]);
    assert_eq!(ids(Vocabulary { add_bos: Some(false), add_eos: Some(true), ..byte_level("llama-bpe", &[], &[]) }), [b('a'), EOS]);
    let tokenizer = Tokenizer::new(byte_level("llama-bpe", &[], &[])).unwrap();
    assert_eq!(tokenizer.encode("", Special::TEXT).unwrap(), [BOS]);
    assert!(tokenizer.encode("", Special::TEMPLATE).unwrap().is_empty());
    assert_eq!(tokenizer.encode("<bos>a", Special::TEMPLATE).unwrap(), [BOS, b('a')]);
}

#[test]
fn tokens_by_id_and_by_text() {
    let tokenizer = Tokenizer::new(byte_level("gpt-2", &["Ġ a"], &[])).unwrap();
    assert_eq!((tokenizer.token(258), tokenizer.id("Ġa")), (Some("Ġa"), Some(258)));
    assert_eq!((tokenizer.token(259), tokenizer.id(" a")), (None, None));
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (Some(BOS), Some(EOS), 259));
}

#[test]
fn bytes_are_decoded_as_text() {
    let tokenizer = Tokenizer::new(byte_level("gpt-2", &["Ġ a"], &[])).unwrap();
    assert_eq!(tokenizer.decode(&[258, 0xC3, 0xA9, 0xFF, 99_999, b('\n')]), " aé\u{FFFD}\n");
    let mut stream = tokenizer.stream();
    let pushed: Vec<String> = [258, 0xC3, EOS, 0xA9, 0xF0, 0x9F, 0x98].map(|id| stream.push(id)).into();
    assert_eq!(pushed, [" a", "", "", "é", "", "", ""]);
    assert_eq!(stream.finish(), "\u{FFFD}");
}

#[test]
fn ends_are_named_or_known() {
    let extra = [("<|im_end|>", 3), ("</s>", 1), ("<x>", 3)];
    let tokenizer = Tokenizer::new(Vocabulary { eos: None, eot: Some(260), ..byte_level("gpt-2", &[], &extra) }).unwrap();
    // <|endoftext|> and <|im_end|> by name, <x> as the file says; </s> is plain text here, such as of an HTML page.
    let ends: Vec<u32> = (0..261).filter(|&id| tokenizer.is_end(id)).collect();
    assert_eq!(ends, [EOS, 258, 260]);
    let harmony = [("<|end|>", 3), ("<|return|>", 3), ("<|call|>", 3)];
    let tokenizer = Tokenizer::new(byte_level("gpt-4o", &[], &harmony)).unwrap();
    assert_eq!([258, 259, 260].map(|id| tokenizer.is_end(id)), [false, true, true]);
}

#[test]
fn every_known_name_cuts_and_joins() {
    let text = "Hello, WORLD! it'S 3.1415 and 1234567\n\n\t def f(x):\r\n    return  x #ÄÖ é\u{301} 你好，世界。カナ한국어 ไทย 😀👍🏽 ... <s>  ";
    for pre in NAMES.split_whitespace() {
        let tokenizer = Tokenizer::new(byte_level(pre, &[], &[])).unwrap();
        assert_eq!(tokenizer.decode(&tokenizer.encode(text, Special::NONE).unwrap()), text, "{pre}");
    }
}

const NAMES: &str = "default gpt-2 a.x-4.0 exaone4 gigachat granite-docling jais jina-de jina-es jina-v2-de jina-v2-es mellum \
    modern-bert mpt olmo phi-2 trillion smollm codeshell command-r exaone mellum2 minerva-7b refact starcoder falcon chameleon \
    llama-bpe llama3 llama-v3 falcon-h1 falcon3 jina-v5-nano lfm2 midm-2.0 pixtral glm4 glm5 chatglm-bpe dbrx smaug-bpe minicpm5 \
    qwen2 deepseek-r1-qwen f2llmv2 grok-2 hunyuan kormo megrez solar-open stablelm2 laguna qwen35 ufakzeka seed-coder bailingmoe \
    bailingmoe2 llada-moe exaone-moe jais-2 tekken gpt-4o kanana2 llama4 minimax-m2 talkie granite-embed-multi-97m cohere2moe \
    tiny_aya youtu deepseek-llm deepseek-coder deepseek-v3 hunyuan-dense hy_v4 joyai-llm spark2_5 bloom gpt3-finnish poro-chat \
    viking";

#[test]
fn text_spelling_keeps_line_ends_whole_and_falls_back_to_bytes() {
    let tokens = ["<bos>", "a", "▁", "▁a", "\n", "\n\n", "<0xC3>", "<0xA9>"];
    let vocabulary = Vocabulary {
        model: "gemma4".into(),
        tokens: tokens.map(String::from).into(),
        token_types: Some(vec![3, 1, 1, 1, 1, 1, 6, 6]),
        merges: vec!["▁ a".into()],
        bos: Some(0),
        ..Vocabulary::default()
    };
    let tokenizer = Tokenizer::new(vocabulary).unwrap();
    let ids = tokenizer.encode("a a\n\né", Special::TEXT).unwrap();
    assert_eq!(ids, [0, 1, 3, 5, 6, 7]);
    assert_eq!(tokenizer.decode(&ids), "a a\n\né");
}

#[test]
fn scores_drive_sentence_piece_merges() {
    let tokens = [("▁", -9.0), ("a", -9.0), ("b", -9.0), ("c", -9.0), ("ab", -2.0), ("bc", -1.0), ("aa", -3.0)];
    let ids = |text| encode(sentence_piece(&tokens), text);
    assert_eq!(ids("abc"), [3, 4, 8]); // ▁ a bc
    assert_eq!(ids("aaa"), [3, 9, 4]); // ▁ aa a: equal scores go from the left
    assert_eq!(ids("aab"), [3, 4, 7]); // ▁ a ab: -2 goes before -3
    assert_eq!(ids("a  b"), [3, 4, 3, 3, 5]);
    assert!(ids("").is_empty());
}

#[test]
fn neighbours_need_not_be_tokens_themselves() {
    // Neither é nor x is a token, but xé is.
    assert_eq!(encode(sentence_piece(&[("▁", -1.0), ("xé", -2.0)]), "xé"), [3, 4]);
}

#[test]
fn sentence_piece_falls_back_to_bytes_then_to_unknown() {
    let bytes = [("▁", -1.0), ("<0xC3>", 0.0), ("<0xA9>", 0.0)];
    let tokenizer = Tokenizer::new(sentence_piece(&bytes)).unwrap();
    let ids = tokenizer.encode("éü", Special::NONE).unwrap();
    assert_eq!(ids, [3, 4, 5, 0]); // ü is C3 BC, and there is no token for BC
    assert_eq!(tokenizer.decode(&ids), "é");
    let error = Tokenizer::new(Vocabulary { unknown: None, ..sentence_piece(&bytes) }).unwrap().encode("ü", Special::NONE);
    assert!(error.unwrap_err().to_string().contains("\"ü\""));
}

#[test]
fn sentence_piece_puts_a_space_before_a_text_and_after_special_tokens() {
    let tokens = [("▁", -9.0), ("a", -9.0), ("▁a", -1.0)];
    let tokenizer = Tokenizer::new(sentence_piece(&tokens)).unwrap();
    assert_eq!(tokenizer.encode("a a</s>a", Special { parse: true, add: true }).unwrap(), [1, 5, 5, 2, 5]);
    assert_eq!(tokenizer.decode(&[1, 5, 5]), "a a");
    let mut stream = tokenizer.stream();
    assert_eq!([stream.push(5), stream.push(5)], [" a", " a"]);
    let bare = Vocabulary { add_space_prefix: Some(false), ..sentence_piece(&tokens) };
    let tokenizer = Tokenizer::new(bare).unwrap();
    assert_eq!(tokenizer.encode("a a", Special::NONE).unwrap(), [4, 5]);
    assert_eq!(tokenizer.decode(&[5, 5]), " a a");
}

#[test]
fn contradictions_are_errors_that_name_their_key() {
    let v = || byte_level("gpt-2", &["a b"], &[]);
    let spm = || sentence_piece(&[("a", 0.0)]);
    let bad = [
        (Vocabulary { tokens: vec![], ..v() }, "tokens"),
        (Vocabulary { tokens: vec!["a".into(); 259], ..v() }, "tokens 0 and 1 are both \"a\""),
        (Vocabulary { token_types: Some(vec![1; 3]), ..v() }, "token_type): 3 types for 259 tokens"),
        (Vocabulary { token_types: Some(vec![7; 259]), ..v() }, "token 0 has type 7"),
        (Vocabulary { merges: vec!["a b".into(), "a c".into()], ..v() }, "merge 1, \"a c\""),
        (Vocabulary { merges: vec!["".into()], ..v() }, "merge 0, \"\""),
        (Vocabulary { merges: vec!["é".into()], ..v() }, "merge 0, \"é\""),
        (Vocabulary { bos: Some(259), ..v() }, "bos_token_id): 259 of 259 tokens"),
        (Vocabulary { eos: None, add_eos: Some(true), ..v() }, "add_eos_token): there is no eos_token_id"),
        (Vocabulary { scores: None, ..spm() }, "scores): 0 scores for 4 tokens"),
    ];
    for (vocabulary, message) in bad {
        let error = Tokenizer::new(vocabulary).unwrap_err();
        assert!(matches!(error, Error::Format { .. }) && error.to_string().contains(message), "{error} lacks {message}");
    }
    for (vocabulary, name) in [(Vocabulary { model: "bert".into(), ..v() }, "'bert'"), (byte_level("gpt-5", &[], &[]), "'gpt-5'")]
    {
        let error = Tokenizer::new(vocabulary).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)) && error.to_string().contains(name), "{error} lacks {name}");
    }
}

#[test]
fn scores_that_are_no_numbers_do_no_harm() {
    let tokens = [("▁", f32::NAN), ("a", f32::NAN), ("aa", f32::NAN), ("aaa", f32::INFINITY), ("▁a", f32::NEG_INFINITY)];
    assert_eq!(Tokenizer::new(sentence_piece(&tokens)).unwrap().decode(&encode(sentence_piece(&tokens), "aaaa aa")), "aaaa aa");
}

/// A byte-level `tokenizer.json` with the bytes of "é a" as tokens, padded and truncated on purpose.
fn tokenizer_json(far_id: u32) -> String {
    format!(
        r#"{{"version": "1.0",
        "truncation": {{"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}},
        "padding": {{"strategy": {{"Fixed": 8}}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}},
        "added_tokens": [{{"id": 8, "content": "<|im_end|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}}],
        "normalizer": null, "post_processor": null,
        "pre_tokenizer": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}},
        "decoder": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}},
        "model": {{"type": "BPE", "vocab": {{"a": 0, "Ġ": 1, "Ã": 2, "©": 3, "Ġa": 4, "<": 5, "|": 6, ">": {far_id}}}, "merges": ["Ġ a"]}}}}"#
    )
}

#[test]
fn tokenizer_json_is_run_as_it_is() -> Result<()> {
    let tokenizer = Tokenizer::from_tokenizer_json(tokenizer_json(7).as_bytes())?;
    assert_eq!(tokenizer.encode("a a a<|im_end|>é", Special::TEMPLATE)?, [0, 4, 4, 8, 2, 3]);
    // The letters of the marker are no tokens here.
    assert_eq!(tokenizer.encode("a<|im_end|>", Special::NONE)?, [0, 5, 6, 6, 7]);
    assert_eq!(tokenizer.decode(&[0, 4, 8, 2, 3]), "a aé");
    assert_eq!((tokenizer.token(4), tokenizer.id("<|im_end|>"), tokenizer.vocab_size()), (Some("Ġa"), Some(8), 9));
    assert!(tokenizer.is_end(8) && !tokenizer.is_end(0));
    let mut stream = tokenizer.stream();
    assert_eq!([0, 4, 2, 3, 8, 4].map(|id| stream.push(id)), ["a", " a", "", "é", "", " a"]);
    assert_eq!(stream.push(2), "");
    assert_eq!(stream.finish(), "\u{FFFD}");
    Ok(())
}

#[test]
fn broken_tokenizer_json_is_refused() {
    for bad in ["", "{}", &tokenizer_json(u32::MAX), &tokenizer_json(7).replace("\"BPE\"", "\"XYZ\"")] {
        assert!(matches!(Tokenizer::from_tokenizer_json(bad.as_bytes()), Err(Error::Format { .. })), "{bad}");
    }
}
