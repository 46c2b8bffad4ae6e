//! Chat templates: from messages to the prompt a model was trained on.

mod json;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::mpsc;
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, ErrorKind, Output, State};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Instructions that one rendering may take. minijinja also charges one per 64 bytes that a template makes, so this bounds
/// memory too, to 128 MiB; a prompt of a megabyte takes some 50,000.
const FUEL: u64 = 1 << 21;

/// Stack of the thread that renders. Fuel bounds the levels to which a template can nest a list into itself to some 400,000;
/// each takes up to 400 bytes of stack when it is printed or dropped.
const STACK: usize = 256 << 20;

/// How long a rendering is waited for. What fuel cannot stop, such as comparing a list that was doubled into itself sixty
/// times, goes on alone after that.
const PATIENCE: Duration = Duration::from_secs(20);

/// Characters that printing one value may take; a list that was doubled into itself would go on for ages.
const MOST_PRINTED: usize = 16 << 20;

/// The name that minijinja knows the template by.
const NAME: &str = "chat template";

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// What a template sees besides the messages.
#[derive(Clone, Debug, Default)]
pub struct TemplateOptions {
    /// Ends the prompt where the assistant is to speak.
    pub add_generation_prompt: bool,
    /// The tools on offer, usually a list of OpenAI function objects. Absent, the template sees `tools` as none.
    pub tools: Option<serde_json::Value>,
    /// More variables, such as `enable_thinking`. They may replace `bos_token` and `eos_token`, not the fields above.
    pub variables: serde_json::Map<String, serde_json::Value>,
}

/// A Jinja chat template, rendered as Hugging Face transformers does (`render_jinja_template` in its
/// `chat_template_utils.py`): blocks are trimmed, Python's string methods work, and `raise_exception`, `strftime_now`,
/// `tojson` with the arguments of Python's `json.dumps`, loop controls and `generation` blocks are there.
///
/// A template is code from a file: it reaches nothing but its own variables, and its instructions, its time and the text it
/// makes are bounded. It is rendered in a thread of its own, with a stack for lists nested as deep as its fuel allows.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Parses `source`. It sees the texts of the special tokens as `bos_token` and `eos_token`.
    ///
    /// # Errors
    /// [`Error::Format`] naming the template's line.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        let malformed = |error: minijinja::Error| Error::format(place(&error), reason(&error));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(malformed)?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(format_as_python);
        environment.add_filter("tojson", json::dumps);
        // To minijinja none is an empty sequence; templates tell absent `tools` by this test.
        environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_template_owned(NAME, without_generation_tags(source)).map_err(malformed)?;
        Ok(Self { environment, bos: bos.into(), eos: eos.into() })
    }

    /// The prompt for `messages`: [`Message`]s, or any values with the fields that the template reads.
    ///
    /// # Errors
    /// [`Error::Request`] naming the template's line when the template refuses the messages, fails or runs too long.
    pub fn render<M: Serialize>(&self, messages: &[M], options: &TemplateOptions) -> Result<String> {
        let mut context = BTreeMap::from([("bos_token", Value::from(&*self.bos)), ("eos_token", Value::from(&*self.eos))]);
        context.extend(options.variables.iter().map(|(name, value)| (name.as_str(), Value::from(Serde(value)))));
        context.extend([
            ("messages", Value::from(Serde(messages))),
            ("tools", Value::from(Serde(&options.tools))),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(options.add_generation_prompt)),
        ]);
        let (environment, context) = (self.environment.clone(), Value::from_pairs(context));
        let (said, heard) = mpsc::channel();
        let render = move || {
            let rendered = environment.get_template(NAME).and_then(|template| template.render(context));
            let _ = said.send(rendered.map_err(|error| Error::Request(format!("{}: {}", place(&error), reason(&error)))));
        };
        let thread = std::thread::Builder::new().name(NAME.into()).stack_size(STACK).spawn(render);
        thread.map_err(|error| Error::Request(format!("{NAME}: there is no thread to render it in: {error}")))?;
        heard.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(Error::Request(format!("{NAME}: it runs too long"))))
    }
}

/// Removes the tags that mark the assistant's text for training but keeps what is between them.
///
/// `{% generation %}` is an extension of transformers that minijinja does not know; a condition that always holds takes its
/// place, so that whitespace control and line numbers stay.
fn without_generation_tags(source: &str) -> String {
    let mut parts = source.split("{%");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push_str("{%");
        let tag = part.split_once("%}").map_or("", |(tag, _)| tag);
        match tag.trim_matches(['-', '+']).trim() {
            name @ "generation" => result.push_str(&part.replacen(name, "if true", 1)),
            name @ "endgeneration" => result.push_str(&part.replacen(name, "endif", 1)),
            _ => result.push_str(part),
        }
    }
    result
}

/// Prints constants as Python spells them.
fn format_as_python(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    let constant = match (bool::try_from(value.clone()), value.is_none()) {
        (Ok(true), _) => "True",
        (Ok(false), _) => "False",
        (_, true) => "None",
        _ if matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) => {
            let printed = write!(Bounded { out, left: MOST_PRINTED }, "{value}");
            return printed.map_err(|_| minijinja::Error::from(ErrorKind::OutOfFuel));
        }
        _ => return minijinja::escape_formatter(out, state, value),
    };
    out.write_str(constant).map_err(minijinja::Error::from)
}

/// An output that takes only so many more bytes.
struct Bounded<'a, 'b> {
    out: &'a mut Output<'b>,
    left: usize,
}

impl std::fmt::Write for Bounded<'_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.left = self.left.checked_sub(text.len()).ok_or(std::fmt::Error)?;
        self.out.write_str(text)
    }
}

/// Lets a template refuse its input.
fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// The local date and time in `strftime` notation.
fn strftime_now(format: String) -> Result<String, minijinja::Error> {
    jiff::fmt::strtime::format(&format, &jiff::Zoned::now())
        .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}")))
}

/// The template's line of an error.
fn place(error: &minijinja::Error) -> String {
    error.line().map_or_else(|| NAME.to_owned(), |line| format!("{NAME}, line {line}"))
}

/// What happened, without the place.
fn reason(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "the template runs too long or makes too much text".to_owned(),
        (kind, None) => kind.to_string(),
        (ErrorKind::InvalidOperation, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
    }
}
