//! Data files beside a model: found, checked, and never outside its folder.

use super::message::{Message, external, graph, model, node};
use std::path::{Path, PathBuf};
use wavelane::error::Error;
use wavelane::formats::onnx::OnnxFile;
use wavelane::tensor::Data;

/// A folder that goes away with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wavelane-onnx-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("model/sub")).unwrap();
        let floats: Vec<u8> = (0..8).flat_map(|i| (i as f32).to_le_bytes()).collect();
        for file in ["outside.bin", "model/weights.bin", "model/sub/weights.bin"] {
            std::fs::write(path.join(file), &floats).unwrap();
        }
        Folder(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn open(&self, entries: &[(&str, &str)]) -> Result<OnnxFile, Error> {
        let path = self.0.join("model/model.onnx");
        std::fs::write(&path, using(external(&[2, 2], entries)).0).unwrap();
        OnnxFile::open(&path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn using(tensor: Message) -> Message {
    model(&graph(&[node("Add", &["x", "w"], &["y"])], &["x"], &["y"]).message(5, &tensor))
}

#[test]
fn data_is_read_from_files_in_the_folder() {
    let folder = Folder::new("sound");
    for (location, offset, length) in [("weights.bin", "0", "16"), ("./sub/weights.bin", "16", "16")] {
        let file = folder.open(&[("location", location), ("offset", offset), ("length", length)]).unwrap();
        let first = offset.parse::<f32>().unwrap() / 4.0;
        let tensor = file.model.graph.initializers[0].1.to_tensor().unwrap();
        assert_eq!(tensor.data(), &Data::F32((0..4).map(|i| first + i as f32).collect()));
        assert_eq!(file.data_files.len(), 1);
    }
    assert!(folder.open(&[("location", "weights.bin")]).is_ok(), "offset and length are optional");
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let folder = Folder::new("paths");
    let absolute = folder.path().join("model/weights.bin");
    let outside = [
        "../outside.bin",
        "sub/../../outside.bin",
        "sub/../weights.bin",
        absolute.to_str().unwrap(),
        "",
        "..",
        "..\\outside.bin",
    ];
    for location in outside {
        let message = folder.open(&[("location", location)]).unwrap_err().to_string();
        assert!(message.contains("is not inside the model's folder"), "{location}: {message}");
    }
}

#[cfg(unix)]
#[test]
fn links_that_leave_the_folder_are_refused() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new("links");
    let model = folder.path().join("model");
    symlink("../outside.bin", model.join("link.bin")).unwrap();
    symlink("..", model.join("up")).unwrap();
    symlink("weights.bin", model.join("inner.bin")).unwrap();
    for location in ["link.bin", "up/outside.bin"] {
        let message = folder.open(&[("location", location)]).unwrap_err().to_string();
        assert!(message.contains("is not inside the model's folder"), "{location}: {message}");
    }
    assert!(folder.open(&[("location", "inner.bin")]).is_ok(), "a link inside the folder is fine");
}

#[test]
fn missing_files_and_folders_are_refused() {
    let folder = Folder::new("missing");
    assert!(matches!(folder.open(&[("location", "nothing.bin")]), Err(Error::Io { path, .. }) if path.ends_with("nothing.bin")));
    let message = folder.open(&[("location", "sub")]).unwrap_err().to_string();
    assert!(message.contains("is no file"), "{message}");
    assert!(folder.open(&[("offset", "0")]).unwrap_err().to_string().contains("without a location"));
    let without = OnnxFile::from_bytes(using(external(&[2, 2], &[("location", "weights.bin")])).0, None);
    assert!(matches!(without, Err(Error::Unsupported(_))));
    let within =
        OnnxFile::from_bytes(using(external(&[2, 2], &[("location", "weights.bin")])).0, Some(folder.path().join("model")));
    assert!(within.is_ok());
}

#[test]
fn ranges_outside_the_file_are_refused() {
    let folder = Folder::new("ranges");
    let huge = u64::MAX.to_string();
    let cases = [
        ("17", "16"),
        ("32", "16"),
        (huge.as_str(), "16"),
        ("-1", "16"),
        ("-16", "16"),
        ("0", "-16"),
        ("x", "16"),
        ("0", "15"),
        ("0", "32"),
        ("1e3", "16"),
        ("99999999999999999999", "16"),
    ];
    for (offset, length) in cases {
        let error = folder.open(&[("location", "weights.bin"), ("offset", offset), ("length", length)]).unwrap_err();
        assert!(
            matches!(&error, Error::Format { place, .. } if place.ends_with("initializer 'w'")),
            "{offset}, {length}: {error}"
        );
    }
}
