//! Where models are that nobody names.

use std::path::{Path, PathBuf};

use wavelane::gpu::record::cache_folder;
use wavelane::{Error, Result};

/// The file or folder that was given, else `name` in the cache folder, which scripts/fetch.sh fills. `files` must be inside, or nothing where it is itself a
/// file; `scripts/fetch.sh FETCH` brings it.
pub fn model(given: Option<&Path>, name: &str, files: &[&str], fetch: &str) -> Result<PathBuf> {
    let cached = || cache_folder().map(|cache| cache.join(name));
    let unknown = || Error::Request("there is no cache folder to look in: set HOME or WAVELANE_CACHE".into());
    let path = given.map(Path::to_owned).or_else(cached).ok_or_else(unknown)?;
    let wanted = if files.is_empty() { vec![path.clone()] } else { files.iter().map(|file| path.join(file)).collect() };
    match wanted.iter().find(|file| !file.is_file()) {
        None => Ok(path),
        Some(missing) => {
            let what = format!("there is no such model; scripts/fetch.sh {fetch} fetches it");
            Err(Error::io(missing, std::io::Error::new(std::io::ErrorKind::NotFound, what)))
        }
    }
}
