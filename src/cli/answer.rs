//! Running a generation: progress while the prompt is read, text as it comes, and an end at Ctrl-C.

use wavelane::Result;
use wavelane::generate::{FinishReason, Generation};

use super::interrupt::Interrupt;
use super::output::Bar;

/// Runs `generation` until it ends or Ctrl-C comes. Every piece of text goes to `show`; all of it is returned.
pub fn stream(
    generation: &mut Generation<'_>,
    interrupt: &Interrupt,
    mut show: impl FnMut(&str) -> Result<()>,
) -> Result<String> {
    let bar = Bar::new("reading the prompt", false);
    let total = generation.ids().len();
    while let Some(done) = generation.prefill_step()? {
        bar.set(done as u64, total as u64);
        if interrupt.came() {
            return Ok(String::new());
        }
    }
    drop(bar);
    let mut text = String::new();
    for piece in generation.by_ref() {
        let piece = piece?.text;
        show(&piece)?;
        text += &piece;
        if interrupt.came() {
            break;
        }
    }
    Ok(text)
}

/// Why a text ended, in a word.
pub fn reason(finish: Option<FinishReason>) -> &'static str {
    match finish {
        Some(FinishReason::Stop) => "stop",
        Some(FinishReason::Length) => "length",
        Some(FinishReason::Context) => "context",
        None => "interrupted",
    }
}
