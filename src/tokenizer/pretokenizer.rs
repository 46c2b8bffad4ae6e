//! How a text is cut into words before byte-pair merges: the rules behind each name of `tokenizer.ggml.pre`.
//!
//! The names, and which patterns each stands for, are those of llama.cpp (`src/llama-vocab.cpp`); where that file quotes the
//! pattern of the model's own tokenizer beside a rewritten one, the model's own is used here.

use crate::error::{Error, Result};

/// The rules behind one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pretokenizer {
    /// Regular expressions, each applied to what the one before left: matches and the text between them become words.
    pub patterns: &'static [&'static str],
    /// A word that is a token as a whole is not built from merges.
    pub ignore_merges: bool,
    /// Whether BOS is added where the file does not say.
    pub add_bos: bool,
    /// How tokens spell text.
    pub spelling: Spelling,
}

/// How the tokens of a byte-pair vocabulary spell text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// One printable character per byte, as GPT-2.
    Bytes,
    /// Plain text with `▁` for a space and `<0xNN>` tokens for other bytes, as SentencePiece. A word of line ends that is a
    /// token is not built from merges.
    Text,
}

/// `'s`, `'T`, `'Re`...
macro_rules! contraction {
    () => {
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    };
}

/// Line ends with the space before them, space that leaves one space to the next word, other space.
macro_rules! space {
    () => {
        r"\s*[\r\n]+|\s+(?!\S)|\s+"
    };
}

/// The pattern of OpenAI's cl100k vocabulary, with its way to cut numbers as parameter.
macro_rules! cl100k {
    ($number:literal) => {
        concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|", $number, r"| ?[^\s\p{L}\p{N}]+[\r\n]*|", space!())
    };
}

/// The pattern of OpenAI's o200k vocabulary (words end where lower case turns to upper), with what may follow a word and the
/// way to cut numbers as parameters.
macro_rules! o200k {
    ($suffix:expr, $number:literal) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            $suffix,
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            $suffix,
            "|",
            $number,
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|",
            space!()
        )
    };
}

/// The pattern of DeepSeek V3, with what ends a run of punctuation and how line ends are cut as parameters.
macro_rules! deepseek3 {
    ($ends:literal, $lines:literal) => {
        concat!(
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"##,
            $ends,
            "|",
            $lines,
            r"|\s+(?!\S)|\s+"
        )
    };
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const DIGIT: &str = r"\p{N}";
const DIGITS: &str = r"\p{N}{1,3}";
const LINES: &str = r"[^\n]+|[\n]+";
const CJK: &str = "[一-龥぀-ゟ゠-ヿ]+";
const CJK_WIDE: &str = "[一-龥ࠀ-一가-\u{D7FF}]+";
const CLAUSE: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
/// Cased letters less those of some scripts, as the tokenizer of DeepSeek LLM lists them.
const CASED: &str = "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u{1F7D}\
            ᾀ-ᾴᾶ-ᾼ\u{1FBE}ῂ-ῄῆ-ῌῐ-\u{1FD3}ῖ-\u{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛ\
            Ꜣ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ\u{10400}-\u{1044F}\u{104B0}-\u{104D3}\u{104D8}-\u{104FB}\u{10C80}-\u{10CB2}\
            \u{10CC0}-\u{10CF2}\u{118A0}-\u{118DF}\u{1E900}-\u{1E943}]+";

/// The rules of `name`.
///
/// # Errors
/// [`Error::Unsupported`] for a name that is not known here.
pub(super) fn pretokenizer(name: &str) -> Result<Pretokenizer> {
    let rules = match name {
        "default" => words(&[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
        "gpt-2" | "a.x-4.0" | "exaone4" | "gigachat" | "granite-docling" | "jais" | "jina-de" | "jina-es" | "jina-v2-de"
        | "jina-v2-es" | "mellum" | "modern-bert" | "mpt" | "olmo" | "phi-2" | "trillion" => words(&[GPT2]),
        "smollm" | "codeshell" | "command-r" | "exaone" | "mellum2" | "minerva-7b" | "refact" | "starcoder" => {
            words(&[DIGIT, GPT2])
        }
        "falcon" => words(&[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"]),
        "chameleon" => words(&[
            "<sentinel:[0-9]+>",
            "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
            r"([\t\n]|    |  )",
            DIGIT,
            r"[\p{P}!-/:-@\[-`{-~]",
            GPT2,
        ])
        .with_bos(),
        "llama-bpe" | "llama3" | "llama-v3" | "falcon-h1" | "falcon3" | "jina-v5-nano" | "lfm2" | "midm-2.0" | "pixtral" => {
            words(&[cl100k!(r"\p{N}{1,3}")]).whole_first().with_bos()
        }
        "glm4" | "glm5" => words(&[cl100k!(r"\p{N}{1,3}")]).whole_first(),
        "chatglm-bpe" | "dbrx" | "smaug-bpe" => words(&[cl100k!(r"\p{N}{1,3}")]),
        "minicpm5" => words(&[DIGITS, cl100k!(r"\p{N}+")]).whole_first(),
        "qwen2" | "deepseek-r1-qwen" | "f2llmv2" | "grok-2" | "hunyuan" | "kormo" | "megrez" | "solar-open" | "stablelm2" => {
            words(&[cl100k!(r"\p{N}")])
        }
        "laguna" => words(&[LINES, cl100k!(r"\p{N}")]),
        "qwen35" => {
            words(&[concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|", space!())])
        }
        "ufakzeka" => words(&[concat!(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|", space!())]),
        "seed-coder" => words(&[concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|", space!())]),
        "bailingmoe" | "bailingmoe2" | "llada-moe" => {
            words(&[r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"])
        }
        "exaone-moe" => words(&[concat!(
            contraction!(),
            r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
        )]),
        "jais-2" => words(&[concat!(
            contraction!(),
            r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|",
            r"\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
        )]),
        "tekken" => words(&[o200k!("", r"\p{N}")]).whole_first().with_bos(),
        "gpt-4o" | "kanana2" | "llama4" | "minimax-m2" | "talkie" => {
            words(&[o200k!(concat!(contraction!(), "?"), r"\p{N}{1,3}")])
        }
        "granite-embed-multi-97m" => words(&[o200k!(concat!(contraction!(), "?"), r"\p{N}{1,3}")]).whole_first(),
        "cohere2moe" | "tiny_aya" => words(&[r"\d{1,3}(?=(?:\d{3})*\b)", o200k!(concat!(contraction!(), "?"), r"\p{N}{1,3}")]),
        "youtu" => words(&[
            "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
            o200k!(concat!(contraction!(), "?"), r"\p{N}"),
        ])
        .whole_first(),
        "deepseek-llm" => words(&["[\r\n]", CASED, r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", CJK_WIDE, r"\p{N}+"]),
        "deepseek-coder" => words(&["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK_WIDE, DIGIT]),
        "deepseek-v3" | "hunyuan-dense" | "hy_v4" | "joyai-llm" => words(&[DIGITS, CJK, deepseek3!(r"[\r\n]*", r"\s*[\r\n]+")]),
        "spark2_5" => words(&[DIGITS, CJK, deepseek3!("", r"[\r\n]"), DIGIT]),
        "bloom" | "gpt3-finnish" | "poro-chat" => words(&[CLAUSE]),
        "viking" => words(&[CLAUSE, DIGIT]),
        "gemma4" | "granite-embed-multi-311m" => Pretokenizer { spelling: Spelling::Text, ..words(&[LINES]).with_bos() },
        _ => return Err(Error::Unsupported(format!("pre-tokenizer '{name}' (tokenizer.ggml.pre)"))),
    };
    Ok(rules)
}

/// Rules that only cut words.
const fn words(patterns: &'static [&'static str]) -> Pretokenizer {
    Pretokenizer { patterns, ignore_merges: false, add_bos: false, spelling: Spelling::Bytes }
}

impl Pretokenizer {
    fn whole_first(self) -> Self {
        Self { ignore_merges: true, ..self }
    }

    fn with_bos(self) -> Self {
        Self { add_bos: true, ..self }
    }
}
