//! A driver's compiled pipelines, kept in a file from one start to the next, for drivers that keep none by themselves.
//!
//! The file begins with a digest of what follows, so that a truncated or altered one never reaches the driver.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Gpu;
use super::record::{digest, replace_file};
use crate::error::{Error, Result};

/// Characters of the digest.
const HEAD: usize = 16;
/// Bytes of the largest file that is read.
const MOST_BYTES: u64 = 256 << 20;

/// A driver's compiled pipelines and the file that keeps them.
pub struct PipelineCache {
    pub cache: wgpu::PipelineCache,
    path: PathBuf,
    /// The digest of what the file holds.
    written: Mutex<String>,
}

impl PipelineCache {
    /// What `path` holds for this device; empty where there is no such file or it is not sound. None where the backend has no such
    /// thing.
    pub fn open(gpu: &Gpu, path: PathBuf) -> Result<Option<Self>> {
        if !gpu.0.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return Ok(None);
        }
        let known = read(&path);
        let written = known.as_deref().map(digest).unwrap_or_default();
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data: known.as_deref(), fallback: true };
        // SAFETY: the data came from `get_data` of such a cache: its digest is that under which it was written, wgpu compares the
        // head that it wrote with adapter and driver, and what does not fit is left unused (`fallback`).
        #[allow(unsafe_code)]
        let make = || Ok(unsafe { gpu.0.device.create_pipeline_cache(&descriptor) });
        let cache = gpu.guard("opening the cache of pipelines", make)?;
        Ok(Some(PipelineCache { cache, path, written: Mutex::new(written) }))
    }

    /// Writes the file if there is more to keep than it holds. What cannot be written is only said in the log.
    pub fn save(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let written = &mut *self.written.lock().unwrap_or_else(|e| e.into_inner());
        let found = digest(&data);
        if *written == found {
            return;
        }
        let bytes = [found.as_bytes(), &data].concat();
        match replace_file(&self.path, &bytes) {
            Ok(()) => *written = found,
            Err(e) => log::warn!("compiled pipelines are not kept: {e}"),
        }
    }
}

/// What a file keeps, if it is there and as it was written.
fn read(path: &Path) -> Option<Vec<u8>> {
    let found = match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() <= MOST_BYTES => std::fs::read(path).map_err(|e| Error::io(path, e)),
        Ok(metadata) => Err(Error::format(path.display().to_string(), format!("{} bytes, at most {MOST_BYTES}", metadata.len()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Err(e) => Err(Error::io(path, e)),
    };
    let sound = found.and_then(|mut bytes| {
        let data = bytes.split_off(HEAD.min(bytes.len()));
        let sound = digest(&data).as_bytes() == bytes;
        if sound { Ok(data) } else { Err(Error::format(path.display().to_string(), "the digest is not that of the contents")) }
    });
    sound.inspect_err(|e| log::warn!("compiled pipelines are made anew: {e}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_as_they_were_written_are_not_used() {
        let path = std::env::temp_dir().join(format!("wavelane-pipelines-{}", std::process::id()));
        assert_eq!(read(&path), None);
        let sound = [digest(b"compiled").as_bytes(), b"compiled"].concat();
        replace_file(&path, &sound).unwrap();
        assert_eq!(read(&path).as_deref(), Some(&b"compiled"[..]));
        for altered in [&sound[..sound.len() - 1], &sound[..7], &[], &[&sound[..], b"x"].concat(), &sound[1..]] {
            replace_file(&path, altered).unwrap();
            assert_eq!(read(&path), None, "{altered:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
