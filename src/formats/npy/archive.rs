//! `.npz`: arrays in a ZIP archive, stored or deflated.

use super::{read_npy, write_npy};
use crate::error::{Error, Result};
use crate::formats::element::ElementType;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Reads all arrays of an archive, by name without `.npy`. `limit` bounds the bytes that they take when unpacked: a small
/// archive can unpack to a thousand times its size.
///
/// # Errors
/// [`Error::Format`], naming the array, for a broken archive, for two arrays of one name, and as [`read_npy`];
/// [`Error::Unsupported`] for more than `limit` bytes, and as [`read_npy`].
pub fn read_npz(bytes: &[u8], limit: usize) -> Result<BTreeMap<String, (ElementType, Tensor)>> {
    let refuse = |place: String, error: &dyn std::fmt::Display| Error::format(place, error.to_string());
    let broken = |error: &dyn std::fmt::Display| refuse("NumPy archive".to_owned(), error);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
    let (mut arrays, mut left) = (BTreeMap::new(), limit);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        let file = entry.name().map_err(|error| broken(&error))?.into_owned();
        let name = file.strip_suffix(".npy").unwrap_or(&file);
        let place = || format!("NumPy archive, array '{}'", name.escape_debug());
        let mut data = Vec::new();
        let most = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(1);
        entry.take(most).read_to_end(&mut data).map_err(|error| refuse(place(), &error))?;
        let too_large = || Error::Unsupported(format!("{}: more than {limit} bytes when unpacked", place()));
        left = left.checked_sub(data.len()).ok_or_else(too_large)?;
        let array = read_npy(&data).map_err(|error| within(error, &place()))?;
        if arrays.insert(name.to_owned(), array).is_some() {
            return Err(refuse(place(), &"it occurs twice"));
        }
    }
    Ok(arrays)
}

/// The bytes of an archive of these arrays, stored without compression.
///
/// # Errors
/// As [`write_npy`]; [`Error::Request`] for names that an archive cannot have.
pub fn write_npz(arrays: &[(&str, ElementType, &Tensor)]) -> Result<Vec<u8>> {
    let refuse = |error: &dyn std::fmt::Display| Error::Request(format!("NumPy archive: {error}"));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, ty, tensor) in arrays {
        let data = write_npy(*ty, tensor)?;
        let options = options.large_file(u32::try_from(data.len()).is_err());
        archive.start_file(format!("{name}.npy"), options).map_err(|error| refuse(&error))?;
        archive.write_all(&data).map_err(|error| refuse(&error))?;
    }
    Ok(archive.finish().map_err(|error| refuse(&error))?.into_inner())
}

/// The error of one array, with its place in the archive.
fn within(error: Error, place: &str) -> Error {
    match error {
        Error::Format { place: inner, what } => Error::format(format!("{place}: {inner}"), what),
        Error::Unsupported(what) => Error::Unsupported(format!("{place}: {what}")),
        other => other,
    }
}
