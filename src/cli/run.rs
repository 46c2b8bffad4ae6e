//! `wavelane run`: one prompt, one answer.

use std::io::IsTerminal;
use std::path::Path;

use clap::Args;
use serde_json::json;
use wavelane::generate::{Engine, Message, Prompt};
use wavelane::models::Outputs;
use wavelane::tokenizer::Special;
use wavelane::{Error, Result};

use super::debug::DebugFlags;
use super::flags::{ModelFlags, SamplingFlags};
use super::interrupt::Interrupt;
use super::output::{print, read_text, say};
use super::start::Start;
use super::{End, answer};

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

impl Run {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let mut start = Start::begin();
        let request = self.sampling.request()?;
        if self.debug.dump(&self.model, Outputs::BEST, false)? {
            return Ok(End::Done);
        }
        let prompt = self.text()?;
        let mut sequence = self.model.open(&mut start)?;
        let engine = sequence.engine().clone();
        let ids = self.tokens(&engine, &prompt)?;
        let report = self.debug.watch(&mut sequence);
        let interrupt = Interrupt::catch(true);
        let prompt_tokens = ids.len();
        let mut generation = sequence.generate(Prompt::Ids(ids), &request)?;
        let text = answer::stream(&mut generation, &interrupt, |piece| {
            start.first(engine.device());
            if self.json { Ok(()) } else { print(piece) }
        })?;
        let (device, ids) = (engine.device(), &generation.ids()[prompt_tokens..]);
        let statistics = generation.statistics();
        let (prefill, decode) = (statistics.prefill_rate(), statistics.decode_rate());
        let reason = answer::reason(generation.finish_reason());
        if self.json {
            let mut object = json!({
                "text": text, "ids": ids, "prompt_tokens": prompt_tokens, "prefill_tok_s": prefill, "decode_tok_s": decode,
                "device": device.name(), "finish_reason": reason, "seed": request.sampling.seed,
            });
            object.as_object_mut().iter_mut().for_each(|object| object.append(&mut start.json(device)));
            print(format_args!("{object}\n"))?;
        } else {
            print("\n")?;
            let generated = ids.len();
            let name = device.name();
            say(format_args!(
                "{name}: {prompt_tokens} prompt tokens at {prefill:.1}/s, {generated} generated at {decode:.1}/s ({reason})"
            ));
            start.text(device).iter().for_each(say);
        }
        report.finish();
        Ok(if interrupt.came() { End::Interrupted } else { End::Done })
    }

    /// The prompt's tokens, through the chat template where there is one and it is wanted.
    fn tokens(&self, engine: &Engine, prompt: &str) -> Result<Vec<u32>> {
        if !self.raw && engine.can_chat() {
            let system = self.system.iter().map(|text| Message::new("system", text));
            let messages: Vec<Message> = system.chain([Message::new("user", prompt)]).collect();
            return engine.chat_prompt(&messages);
        }
        if self.system.is_some() {
            return Err(Error::Request("the model has no chat template, and so no place for --system".into()));
        }
        if !self.raw {
            say("the model has no chat template: the prompt is continued as it stands");
        }
        engine.tokenizer().encode(prompt, Special::TEXT)
    }

    /// The prompt. The line break that ends what is piped in is not part of it.
    fn text(&self) -> Result<String> {
        match self.prompt.as_deref() {
            Some(text) if text != "-" => Ok(text.to_owned()),
            None if std::io::stdin().is_terminal() => Err(Error::Request("there is no prompt: give one, or pipe one in".into())),
            _ => {
                let text = read_text(Path::new("-"))?;
                let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
                Ok(line.unwrap_or(&text).to_owned())
            }
        }
    }
}
