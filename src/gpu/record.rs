//! What is known of one device's kernels, kept in a file from one start to the next.
//!
//! The file is named after adapter, backend, driver and this crate's version: after an update of the driver everything is found out
//! anew. It is JSON and can be copied to another machine with the same device, to make the same choices there.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use super::DeviceInfo;
use super::budget::{Allowance, Budget};
use super::pipelines::Refusal;
use crate::error::{Error, Result};
use crate::kernel::caps::View;
use crate::plan::Choices;

/// The form of the file; another one is not read.
const SCHEMA: u32 = 1;
/// Bytes of the largest file that is read.
const MOST_BYTES: u64 = 16 << 20;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Contents {
    schema: u32,
    /// Adapter, backend, driver and crate version, as a person reads them.
    device: String,
    #[serde(flatten)]
    choices: Choices,
    /// Kernels that gave right results, by name, with a digest of their source.
    proven: BTreeMap<String, String>,
}

impl Default for Contents {
    fn default() -> Self {
        Contents { schema: SCHEMA, device: String::new(), choices: Choices::default(), proven: BTreeMap::new() }
    }
}

/// What is known of one device's kernels.
#[derive(Debug)]
pub struct Record {
    path: Option<PathBuf>,
    contents: Mutex<Contents>,
    left: Mutex<Budget>,
}

/// The folder for what can be made again: `WAVELANE_CACHE`, else `wavelane` in the system's folder for caches; none where no
/// variable says where that is.
pub fn cache_folder() -> Option<PathBuf> {
    let folder = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = |inside: &str| folder("HOME").map(|home| home.join(inside));
    let system = || match std::env::consts::OS {
        "windows" => folder("LOCALAPPDATA"),
        "macos" => home("Library/Caches"),
        _ => folder("XDG_CACHE_HOME").or_else(|| home(".cache")),
    };
    folder("WAVELANE_CACHE").or_else(|| system().map(|cache| cache.join("wavelane")))
}

impl Record {
    /// Of a device of which nothing is known, and that is kept in no file.
    pub fn new(budget: Budget) -> Self {
        Record { path: None, contents: Mutex::default(), left: Mutex::new(budget) }
    }

    /// Of a device of which `choices` are known, and to which nothing will be added.
    pub(super) fn settled(choices: Choices) -> Self {
        let contents = Contents { choices, ..Contents::default() };
        Record { path: None, contents: Mutex::new(contents), left: Mutex::new(Budget::NONE) }
    }

    /// Of the device `info`, kept in `folder`. A file that cannot be read is begun anew, with a warning in the log.
    pub fn open(folder: &Path, info: &DeviceInfo, budget: Budget) -> Self {
        let device = format!("{}, {}, {}, wavelane {}", info.name, info.backend, info.driver, env!("CARGO_PKG_VERSION"));
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = info.name.chars().map(plain).take(40).collect();
        let path = folder.join("devices").join(format!("{name}-{}.json", digest(device.as_bytes())));
        let contents = match read(&path) {
            Ok(Some(contents)) if contents.device == device => contents,
            Ok(_) => Contents::default(),
            Err(e) => {
                log::warn!("what is known of '{}' is begun anew: {e}", info.name);
                Contents::default()
            }
        };
        let contents = Contents { device, ..contents };
        Record { path: Some(path), contents: Mutex::new(contents), left: Mutex::new(budget) }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What planning heeds.
    pub fn choices(&self) -> Choices {
        self.lock().choices.clone()
    }

    /// Takes the choices of a file that [`Record::save_as`] wrote instead of its own.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`].
    pub fn import(&self, path: &Path) -> Result<()> {
        let missing = || Error::io(path, std::io::Error::from(std::io::ErrorKind::NotFound));
        self.lock().choices = read(path)?.ok_or_else(missing)?.choices;
        Ok(())
    }

    /// Whether a kernel of that name and source gave right results.
    pub fn is_proven(&self, kernel: &str, source: &str) -> bool {
        self.lock().proven.get(kernel).is_some_and(|known| *known == digest(source.as_bytes()))
    }

    /// Notes that a kernel gave right results.
    pub fn prove(&self, kernel: &str, source: &str) {
        let contents = &mut *self.lock();
        contents.choices.struck.remove(kernel);
        contents.proven.insert(kernel.into(), digest(source.as_bytes()));
    }

    /// Notes what was wrong with a kernel: it is not planned with any more.
    pub fn strike(&self, kernel: &str, reason: &str) {
        log::warn!("the kernel {kernel} is not used on this device any more: {reason}");
        let contents = &mut *self.lock();
        contents.proven.remove(kernel);
        contents.choices.struck.insert(kernel.into(), reason.into());
    }

    /// Notes which kernels the driver refuses to compile, and writes the file.
    pub(super) fn strike_refused(&self, refusals: &[Refusal]) {
        refusals.iter().for_each(|refusal| self.strike(&refusal.kernel.name(), &refusal.to_string()));
        self.save();
    }

    /// Notes under which view a node with that signature runs fastest.
    pub fn prefer(&self, signature: String, view: View) {
        self.lock().choices.fastest.insert(signature, view);
    }

    /// Forgets which kernels were proven or struck.
    pub fn forget_proofs(&self) {
        let contents = &mut *self.lock();
        contents.proven.clear();
        contents.choices.struck.clear();
    }

    /// What is left for learning.
    pub fn left(&self) -> Budget {
        *self.left.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Notes what is left for proving.
    pub(super) fn leave_for_proving(&self, left: Allowance) {
        self.left.lock().unwrap_or_else(|e| e.into_inner()).proving = left;
    }

    /// Notes what is left for tuning.
    pub(super) fn leave_for_tuning(&self, left: Allowance) {
        self.left.lock().unwrap_or_else(|e| e.into_inner()).tuning = left;
    }

    /// Writes the file, where there is one. What cannot be written is only said in the log: the record can be made again.
    pub fn save(&self) {
        let Some(path) = &self.path else { return };
        if let Err(e) = self.save_as(path) {
            log::warn!("what was learnt of the device is not kept: {e}");
        }
    }

    /// Writes the record to a file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_as(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&*self.lock()).map_err(|e| Error::invalid("record", e.to_string()))?;
        replace_file(path, text.as_bytes())
    }

    /// The file for the driver's compiled pipelines, where the record is kept in one.
    pub(super) fn pipelines(&self) -> Option<PathBuf> {
        self.path.as_ref().map(|path| path.with_extension("pipelines"))
    }
}

/// Writes a file so that others who read or write it at the same time only ever see it whole.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    fs::write(&partial, bytes).map_err(|e| Error::io(&partial, e))?;
    fs::rename(&partial, path).map_err(|e| Error::io(path, e))
}

/// The contents of a file; none where there is no file.
fn read(path: &Path) -> Result<Option<Contents>> {
    let bytes = match fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path, e)),
        Ok(metadata) => metadata.len(),
    };
    let malformed = |what: String| Error::format(path.display().to_string(), what);
    if bytes > MOST_BYTES {
        return Err(malformed(format!("{bytes} bytes, at most {MOST_BYTES} are read")));
    }
    let text = fs::read(path).map_err(|e| Error::io(path, e))?;
    let contents: Contents = serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;
    match contents.schema {
        SCHEMA => Ok(Some(contents)),
        other => Err(malformed(format!("schema {other}, expected {SCHEMA}"))),
    }
}

/// Sixteen hexadecimal digits that other bytes have with a chance of 2^-64. Compilers may change them, which costs a proof.
pub(super) fn digest(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
