//! Where models are that nobody names.

use std::path::{Path, PathBuf};

use wavelane::{Error, Result};

/// The folder that scripts/fetch.sh fills: `WAVELANE_CACHE`, else `wavelane` in `XDG_CACHE_HOME` or `~/.cache`.
fn folder() -> Option<PathBuf> {
    let folder = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    folder("WAVELANE_CACHE").or_else(|| user().map(|cache| cache.join("wavelane")))
}

/// The file or folder that was given, else `name` in the cache folder. `files` must be inside, or nothing where it is itself a
/// file; `scripts/fetch.sh FETCH` brings it.
pub fn model(given: Option<&Path>, name: &str, files: &[&str], fetch: &str) -> Result<PathBuf> {
    let cached = || folder().map(|cache| cache.join(name));
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
