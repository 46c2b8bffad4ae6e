//! The `tojson` filter with the output of Python's `json.dumps`, which models saw in training: `{"a": [1, 2]}`.

use std::io::{self, Write};

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Bytes that one filter call may write, levels it may descend, and spaces per level: a template can build values whose
/// text would be far larger than they are.
const MOST_BYTES: usize = 16 << 20;
const MOST_LEVELS: usize = 100;
const MOST_INDENT: usize = 64;

/// Renders `value`. Takes the keyword arguments `indent`, `ensure_ascii`, `separators` and `sort_keys`, the first also by
/// position.
pub(super) fn dumps(value: &Value, indent: Option<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let indent = match indent {
        Some(indent) => indent,
        None => kwargs.get::<Option<Value>>("indent")?.unwrap_or_default(),
    };
    let indent = if indent.is_none() || indent.is_undefined() { None } else { Some(usize::try_from(indent)?) };
    if indent.is_some_and(|spaces| spaces > MOST_INDENT) {
        return Err(failed("the indent is too large"));
    }
    let ensure_ascii = kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let (item, key) = match kwargs.get::<Option<Vec<String>>>("separators")?.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(failed("separators must be a pair")),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    kwargs.assert_all_used()?;
    let style = Style { indent, ensure_ascii, item, key, level: 0, empty: true };
    let text = write(value, style.clone())?;
    if !sort_keys {
        return Ok(text);
    }
    let mut sorted: serde_json::Value = serde_json::from_str(&text).map_err(failed)?;
    sorted.sort_all_objects();
    write(&sorted, style)
}

fn write(value: &impl Serialize, style: Style) -> Result<String, Error> {
    let mut out = Bounded(Vec::new());
    value.serialize(&mut Serializer::with_formatter(&mut out, style)).map_err(failed)?;
    String::from_utf8(out.0).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("tojson: {error}"))
}

/// A buffer that takes at most [`MOST_BYTES`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_BYTES {
            return Err(io::Error::other("the result is too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where `json.dumps` puts its spaces and line ends.
#[derive(Clone)]
struct Style {
    /// Spaces per level; absent, everything is on one line.
    indent: Option<usize>,
    ensure_ascii: bool,
    /// Between items, and between a key and its value.
    item: String,
    key: String,
    /// How many arrays and objects are open, and whether the innermost has no item yet.
    level: usize,
    empty: bool,
}

impl Style {
    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.level += 1;
        self.empty = true;
        if self.level > MOST_LEVELS {
            return Err(io::Error::other("the value is nested too deeply"));
        }
        out.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.level -= 1;
        if !self.empty {
            self.new_line(out)?;
        }
        self.empty = false;
        out.write_all(bracket)
    }

    fn begin_item<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(self.item.as_bytes())?;
        }
        self.empty = false;
        self.new_line(out)
    }

    fn new_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        let Some(indent) = self.indent else { return Ok(()) };
        let spaces = indent * self.level;
        write!(out, "\n{:spaces$}", "")
    }
}

impl Formatter for Style {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin_item(out, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin_item(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if !self.ensure_ascii {
            return out.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                write!(out, "{character}")?;
            } else {
                character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}
