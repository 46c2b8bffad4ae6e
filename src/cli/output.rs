//! Standard output that may be closed early, progress bars, and standard input.

use std::fmt::Display;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wavelane::{Error, Result};

/// Where errors of standard output say that they come from.
const STDOUT: &str = "standard output";
/// The same of standard input.
pub const STDIN: &str = "standard input";

/// Writes `text` to standard output at once.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|e| Error::io(Path::new(STDOUT), e))
}

/// A report as JSON.
pub fn value(report: &impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(report).map_err(|e| Error::invalid("report", e.to_string()))
}

/// Writes a line to standard error. That nobody reads it is no reason to stop.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether an error says that standard output cannot be written.
pub fn is_about_stdout(error: &Error) -> bool {
    matches!(error, Error::Io { path, .. } if path == Path::new(STDOUT))
}

/// Whether an error only says that nobody reads standard output any more.
pub fn is_broken_pipe(error: &Error) -> bool {
    is_about_stdout(error) && matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe)
}

/// A bar on a terminal's standard error, gone when it is finished; it shows up only for what takes a while.
pub struct Bar {
    bar: ProgressBar,
    started: std::time::Instant,
}

impl Bar {
    /// A bar called `what`; `bytes` says whether it counts bytes.
    pub fn new(what: &'static str, bytes: bool) -> Self {
        let counts = if bytes { "{bytes}/{total_bytes}" } else { "{pos}/{len}" };
        let style = ProgressStyle::with_template(&format!("{what} {{wide_bar}} {counts}"));
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Bar { bar, started: std::time::Instant::now() }
    }

    /// Moves the bar; it is drawn from the time on when a quarter of a second has passed.
    pub fn set(&self, done: u64, total: u64) {
        if self.bar.is_hidden() && self.started.elapsed() > Duration::from_millis(250) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The text of a file, or of standard input for `-`.
///
/// # Errors
/// [`Error::Io`] naming the file; also for text that is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path).map_err(|e| Error::io(path, e));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| Error::io(Path::new(STDIN), e))?;
    Ok(text)
}
