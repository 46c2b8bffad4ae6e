//! Every file of a folder through a model: one at a time, the next being decoded while the device works.
//!
//! Results get their names when they are whole, so an interrupted run goes on where it stopped. A manifest beside them says
//! which model and settings made them, so that results of different ones do not mix.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use wavelane::onnx::{Array, Session};
use wavelane::{Error, Result};

use super::inputs::Reader;
use super::results::{Results, Summary, replace, save};
use crate::cli::End;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Bar, print, say};

/// The file that says what made the results beside it.
const MANIFEST: &str = "wavelane-run.json";

/// A folder to work through.
pub struct Batch<'a> {
    /// The files' folder.
    pub folder: &'a Path,
    /// Where results go; without, they are only summarised.
    pub output: Option<&'a Path>,
    /// Print summaries as JSON, one object a line.
    pub json: bool,
    /// What decides about results beside the files, for the manifest.
    pub settings: Value,
}

impl Batch<'_> {
    /// Runs the model for every file. Files that fail are listed at the end, and the others are done.
    ///
    /// # Errors
    /// [`Error::Io`] for folders; [`Error::Request`] where the results of another run lie in the output folder; what the device
    /// says when it fails.
    pub fn run(&self, session: &mut Session, reader: &Reader) -> Result<End> {
        let files = files(self.folder)?;
        self.claim_output()?;
        let wanted: Vec<&PathBuf> = files.iter().filter(|f| self.target(f).is_none_or(|t| !t.exists())).collect();
        let (total, present) = (files.len() as u64, files.len() - wanted.len());
        if present > 0 {
            say(format_args!("{present} of {total} results are there already"));
        }
        let interrupt = Interrupt::catch(true);
        let bar = Bar::new("files", false);
        let mut failed = Vec::new();
        // One decoded file may wait; so two at most are in memory.
        let (sender, receiver) = sync_channel(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for file in &wanted {
                    // Nobody listens after an interrupt or a failure of the device.
                    if sender.send((*file, reader.read_alone(file))).is_err() {
                        break;
                    }
                }
                drop(sender);
            });
            // Owned here, so that leaving early frees the thread.
            let receiver = receiver;
            for (i, (file, inputs)) in receiver.iter().enumerate() {
                bar.set((present + i) as u64, total);
                if interrupt.came() {
                    return Ok(());
                }
                match inputs.and_then(|inputs| self.infer(session, file, &inputs)) {
                    Ok(()) => {}
                    Err(e) if is_about_the_file(&e) => failed.push((file, e)),
                    Err(e) => return Err(e),
                }
            }
            Ok(())
        })?;
        drop(bar);
        for (file, error) in &failed {
            say(format_args!("{}: {error}", file.display()));
        }
        match () {
            () if interrupt.came() => Ok(End::Interrupted),
            () if failed.is_empty() => Ok(End::Done),
            () => {
                say(format_args!("{} of {total} files failed", failed.len()));
                Ok(End::Failed)
            }
        }
    }

    fn infer(&self, session: &mut Session, file: &Path, inputs: &BTreeMap<String, Array>) -> Result<()> {
        let results: Results = session.run(inputs)?;
        match self.target(file) {
            Some(target) => save(&target, &results),
            None => self.show(file, &results),
        }
    }

    fn show(&self, file: &Path, results: &Results) -> Result<()> {
        let summaries = results.iter().map(|(name, array)| Summary::of(name, array));
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        if self.json {
            let outputs: Vec<Value> = summaries.map(|s| s.json()).collect();
            return print(format_args!("{}\n", json!({ "file": file, "outputs": outputs })));
        }
        print(format_args!("{file}\n{}", summaries.map(|s| s.text()).collect::<String>()))
    }

    /// Where a file's results go.
    fn target(&self, file: &Path) -> Option<PathBuf> {
        let mut name = file.file_name()?.to_owned();
        name.push(".npz");
        Some(self.output?.join(name))
    }

    /// Makes the output folder, or sees that its results are of the same run.
    fn claim_output(&self) -> Result<()> {
        let Some(folder) = self.output else { return Ok(()) };
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let path = folder.join(MANIFEST);
        match std::fs::read(&path) {
            Ok(text) => {
                let found: Value =
                    serde_json::from_slice(&text).map_err(|e| Error::format(path.display().to_string(), e.to_string()))?;
                if found == self.settings {
                    return Ok(());
                }
                let what = "it holds results of another model or other settings; give another folder";
                Err(Error::Request(format!("{}: {what}", folder.display())))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let mut inside = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
                if inside.next().is_some() {
                    let what = "it holds files of something else; give an empty folder";
                    return Err(Error::Request(format!("{}: {what}", folder.display())));
                }
                replace(&path, format!("{}\n", self.settings).as_bytes())
            }
            Err(e) => Err(Error::io(&path, e)),
        }
    }
}

/// What tells a model's file from another, or from itself after a change.
///
/// # Errors
/// [`Error::Io`].
pub fn identity(path: &Path) -> Result<Value> {
    let data = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    let modified = data.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map(|d| d.as_secs_f64());
    Ok(json!({ "file": path.file_name().map(|n| n.to_string_lossy()), "bytes": data.len(), "modified": modified }))
}

/// The files of a folder by name, without hidden ones.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(Error::Request(format!("{}: there are no files in it", folder.display()))) } else { Ok(files) }
}

/// Whether an error leaves hope for other files.
fn is_about_the_file(error: &Error) -> bool {
    !crate::cli::output::is_about_stdout(error)
        && matches!(
            error,
            Error::Io { .. } | Error::Format { .. } | Error::Unsupported(_) | Error::Shape { .. } | Error::Request(_)
        )
}
