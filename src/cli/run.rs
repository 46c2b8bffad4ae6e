//! `wavelane run`: one prompt, one answer.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::json;
use wavelane::generate::{FinishReason, Message, Prompt};
use wavelane::tokenizer::Special;
use wavelane::{Error, Result};

use super::End;
use super::flags::{DebugFlags, ModelFlags, SamplingFlags};
use super::output::{Bar, print, read_text};

/// Arguments of `run`.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    model: ModelFlags,
    /// The prompt; '-' or nothing reads standard input.
    prompt: Option<String>,
    /// Continue the prompt as it stands, without the chat template.
    #[arg(long)]
    raw: bool,
    /// What the model is told first.
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    system: Option<String>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sampling: SamplingFlags,
    #[command(flatten)]
    debug: DebugFlags,
}

/// A flag that Ctrl-C sets.
pub fn interrupt_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    // Without a handler Ctrl-C ends the program, as it would anyway.
    if let Err(e) = ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)) {
        log::warn!("Ctrl-C is not caught: {e}");
    }
    flag
}

impl Run {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let request = self.sampling.request()?;
        let text = self.text()?;
        let mut sequence = self.model.open()?;
        let engine = sequence.engine().clone();
        let ids = if self.raw || !engine.can_chat() {
            if !self.raw {
                eprintln!("the model has no chat template: the prompt is continued as it stands");
            }
            engine.tokenizer().encode(&text, Special::TEXT)?
        } else {
            let system = self.system.iter().map(|s| Message::new("system", s));
            let messages: Vec<Message> = system.chain([Message::new("user", &text)]).collect();
            engine.chat_prompt(&messages)?
        };
        if self.debug.dump(&mut sequence, ids.len())? {
            return Ok(End::Done);
        }
        let report = self.debug.watch(&mut sequence);
        let interrupted = interrupt_flag();
        let device = engine.device().name().to_owned();
        let prompt_tokens = ids.len();
        let mut generation = sequence.generate(Prompt::Ids(ids), &request)?;
        {
            let bar = Bar::new("reading the prompt", false);
            generation.prefill(&mut |done, total| bar.set(done as u64, total as u64))?;
        }
        let mut answer = String::new();
        for piece in generation.by_ref() {
            let text = piece?.text;
            if !self.json {
                print(&text)?;
            }
            answer += &text;
            if interrupted.load(Ordering::Relaxed) {
                break;
            }
        }
        let statistics = generation.statistics();
        let (prefill, decode) = (statistics.prefill_rate(), statistics.decode_rate());
        let reason = match generation.finish_reason() {
            Some(FinishReason::Stop) => "stop",
            Some(FinishReason::Length) => "length",
            Some(FinishReason::Context) => "context",
            None => "interrupted",
        };
        if self.json {
            let ids = &generation.ids()[prompt_tokens..];
            let object = json!({
                "text": answer, "ids": ids, "prompt_tokens": prompt_tokens, "prefill_tok_s": prefill, "decode_tok_s": decode,
                "device": device, "finish_reason": reason, "seed": request.sampling.seed,
            });
            print(format_args!("{object}\n"))?;
        } else {
            print("\n")?;
            let generated = generation.ids().len() - prompt_tokens;
            eprintln!(
                "{device}: {prompt_tokens} prompt tokens at {prefill:.1}/s, {generated} generated at {decode:.1}/s ({reason})"
            );
        }
        report.finish();
        Ok(if interrupted.load(Ordering::Relaxed) { End::Interrupted } else { End::Done })
    }

    fn text(&self) -> Result<String> {
        match self.prompt.as_deref() {
            Some("-") => read_text(Path::new("-")),
            Some(text) => Ok(text.to_owned()),
            None if !std::io::stdin().is_terminal() => read_text(Path::new("-")),
            None => Err(Error::Request("there is no prompt: give one, or pipe one in".into())),
        }
    }
}
