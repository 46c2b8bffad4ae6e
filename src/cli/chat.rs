//! `wavelane chat`: a conversation in the terminal.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use clap::Args;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use wavelane::generate::{FinishReason, Message, Prompt, Request, Sequence};
use wavelane::{Error, Result};

use super::flags::{ModelFlags, SamplingFlags};
use super::interrupt::Interrupt;
use super::output::{STDIN, print, say};
use super::start::Start;
use super::{End, answer};

const HELP: &str = "/reset  forget the conversation\n/quit   leave (also Ctrl-D)\n/help   this list\nCtrl-C  stop an answer\n";

/// Arguments of `chat`.
#[derive(Args)]
pub struct Chat {
    #[command(flatten)]
    model: ModelFlags,
    /// What the model is told first.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingFlags,
}

/// Where lines come from: an editor with a history on a terminal, plain lines of a pipe.
enum Lines {
    Editor(Box<DefaultEditor>),
    Pipe,
}

impl Lines {
    fn new() -> Result<Self> {
        if !std::io::stdin().is_terminal() {
            return Ok(Lines::Pipe);
        }
        let editor = DefaultEditor::new().map_err(terminal_failed)?;
        Ok(Lines::Editor(Box::new(editor)))
    }

    /// The next line; none at the end.
    fn next(&mut self) -> Result<Option<String>> {
        match self {
            Lines::Pipe => {
                let mut line = String::new();
                let read = std::io::stdin().lock().read_line(&mut line);
                let n = read.map_err(|e| Error::io(Path::new(STDIN), e))?;
                Ok((n > 0).then_some(line))
            }
            Lines::Editor(editor) => loop {
                match editor.readline("> ") {
                    Ok(line) => {
                        let _ = editor.add_history_entry(&line);
                        return Ok(Some(line));
                    }
                    // Ctrl-C at the prompt drops the line, nothing else.
                    Err(ReadlineError::Interrupted) => {}
                    Err(ReadlineError::Eof) => return Ok(None),
                    Err(e) => return Err(terminal_failed(e)),
                }
            },
        }
    }
}

fn terminal_failed(error: ReadlineError) -> Error {
    let source = if let ReadlineError::Io(source) = error { source } else { std::io::Error::other(error) };
    Error::io(Path::new("the terminal"), source)
}

impl Chat {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let request = self.sampling.request()?;
        let mut sequence = self.model.open(&mut Start::begin())?;
        let beginning: Vec<Message> = self.system.iter().map(|s| Message::new("system", s)).collect();
        // Refuses a model without a template before anything is typed.
        sequence.engine().chat_prompt(&[Message::new("user", "")])?;
        let interrupt = Interrupt::catch(false);
        let mut lines = Lines::new()?;
        if let Lines::Editor(_) = lines {
            let (model, device) = (self.model.model.display(), sequence.engine().device().name());
            say(format_args!("{model} on {device}; /help lists the commands"));
        }
        let mut messages = beginning.clone();
        while let Some(line) = lines.next()? {
            match line.trim() {
                "" => continue,
                "/quit" | "/exit" => break,
                "/help" => print(HELP)?,
                "/reset" => {
                    messages = beginning.clone();
                    sequence.truncate(0);
                    say("(a new conversation)");
                }
                command if command.starts_with('/') => say(format_args!("unknown command {command}; /help lists the commands")),
                text => {
                    messages.push(Message::new("user", text));
                    interrupt.forget();
                    match reply(&mut sequence, &messages, &request, &interrupt) {
                        Ok(text) => messages.push(Message::new("assistant", text)),
                        Err(Error::Request(what)) => {
                            // The conversation no longer fits; the user can shorten or reset it.
                            messages.pop();
                            say(format_args!("error: {what} (/reset begins anew)"));
                        }
                        Err(e) => return Err(e),
                    }
                }
            }
        }
        Ok(End::Done)
    }
}

/// Streams the answer to the last message and returns it, as far as it came.
fn reply(sequence: &mut Sequence, messages: &[Message], request: &Request, interrupt: &Interrupt) -> Result<String> {
    let mut generation = sequence.generate(Prompt::Chat(messages.to_vec()), request)?;
    let text = answer::stream(&mut generation, interrupt, |piece| print(piece))?;
    print("\n")?;
    match generation.finish_reason() {
        Some(FinishReason::Context) => say("(the context is full; /reset begins anew)"),
        Some(FinishReason::Length) => say("(cut at --max-tokens)"),
        None => say("(stopped)"),
        Some(FinishReason::Stop) => {}
    }
    Ok(text)
}
