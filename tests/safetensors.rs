//! safetensors files, single and sharded: what is written comes back, and what is broken is refused with its place.

use safetensors::tensor::{Dtype, TensorView, serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use wavelane::dtype::DType;
use wavelane::error::Error;
use wavelane::formats::SafeTensors;

fn read(bytes: Vec<u8>) -> Result<SafeTensors, Error> {
    SafeTensors::from_bytes(bytes, "test.safetensors")
}

fn write(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.to_vec(), data).unwrap()));
    serialize(views, Some(HashMap::from([("format".to_owned(), "pt".to_owned())]))).unwrap()
}

fn sound() -> Vec<u8> {
    write(&[("w", Dtype::F32, &[2, 1], &[1; 8]), ("h", Dtype::F16, &[3], &[2; 6]), ("ids", Dtype::I64, &[1, 2], &[3; 16])])
}

fn with_header(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn tensors_come_back_with_type_shape_and_data() {
    let file = read(sound()).unwrap();
    assert_eq!(file.tensors().len(), 3);
    assert_eq!(file.metadata()["format"], "pt");
    let (w, h, ids) = (file.tensor("w").unwrap(), file.tensor("h").unwrap(), file.tensor("ids").unwrap());
    assert_eq!((w.dtype, &w.shape[..], file.data(w).unwrap()), (Some(DType::F32), &[2, 1][..], &[1; 8][..]));
    assert_eq!((h.dtype, &h.shape[..], file.data(h).unwrap()), (Some(DType::F16), &[3][..], &[2; 6][..]));
    assert_eq!((ids.dtype, &ids.shape[..], ids.bytes), (None, &[1, 2][..], 16));
    let message = file.data(ids).unwrap_err().to_string();
    assert_eq!(message, "unsupported: test.safetensors: tensor 'ids' has type I64");
    assert!(file.tensor("x").is_none());
    let foreign = wavelane::formats::safetensors::TensorInfo { offset: usize::MAX, ..w.clone() };
    assert!(matches!(file.data(&foreign), Err(Error::Format { .. })));
}

#[test]
fn a_file_cut_anywhere_is_refused_with_its_place() {
    let bytes = sound();
    for cut in 0..bytes.len() {
        let error = read(bytes[..cut].to_vec()).expect_err("a truncated file");
        assert!(matches!(&error, Error::Format { place, .. } if place == "test.safetensors: header"), "{cut} bytes: {error}");
    }
}

#[test]
fn malformed_headers_are_refused() {
    let tensor = |name: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"U8","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    // Eight tensors of almost 2^61 bytes end near 2^64, where adding the header's length would overflow.
    let eighth = (1u64 << 61) - 1;
    let chain: Vec<_> = (0..8).map(|i| tensor(&i.to_string(), &format!("[{eighth}]"), i * eighth, (i + 1) * eighth)).collect();
    let cases = [
        ("18446744073709551615 bytes long", vec![0xff; 64]),
        ("100000001 bytes long", [&100_000_001u64.to_le_bytes()[..], &[0; 64]].concat()),
        ("expected value", with_header("JSON", 0)),
        ("unknown variant", with_header(r#"{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,1]}}"#, 1)),
        ("recursion limit", with_header(&format!("{{\"a\":{}", "[".repeat(10_000)), 0)),
        ("its tensors take 4 bytes, but 5 follow", with_header(&format!("{{{}}}", tensor("a", "[4]", 0, 4)), 5)),
        ("invalid shape", with_header(&format!("{{{}}}", tensor("a", "[4]", 0, 5)), 5)),
        ("invalid offset for tensor `a`", with_header(&format!("{{{}}}", tensor("a", "[4]", 1, 5)), 5)),
        ("invalid offset", with_header(&format!("{{{},{}}}", tensor("a", "[4]", 0, 4), tensor("b", "[4]", 2, 6)), 6)),
        ("overflow", with_header(&format!("{{{}}}", tensor("a", "[4294967296,4294967296]", 0, 4)), 4)),
        ("its tensors take 18446744073709551608 bytes", with_header(&format!("{{{}}}", chain.join(",")), 4)),
    ];
    for (expected, bytes) in cases {
        let error = read(bytes).expect_err(expected);
        assert!(matches!(&error, Error::Format { place, .. } if place == "test.safetensors: header"), "{error}");
        assert!(error.to_string().contains(expected), "{error}, not {expected}");
    }
}

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Opens an index with this weight map in `folder`.
fn open_index(folder: &Path, weight_map: &str) -> Result<SafeTensors, Error> {
    let path = folder.join("model.safetensors.index.json");
    std::fs::write(&path, format!(r#"{{"metadata":{{"total_size":1}},"weight_map":{weight_map}}}"#)).unwrap();
    SafeTensors::open(&path)
}

#[test]
fn a_folder_or_a_file_opens_alike() {
    let folder = folder("single");
    let path = folder.join("model.safetensors");
    std::fs::write(&path, sound()).unwrap();
    for path in [&path, &folder] {
        let file = SafeTensors::open(path).unwrap();
        assert_eq!(file.data(file.tensor("w").unwrap()).unwrap(), [1; 8]);
    }
    assert!(matches!(SafeTensors::open(&folder.join("no such file")), Err(Error::Io { .. })));
}

#[test]
fn shards_are_one_model() {
    let folder = folder("shards");
    std::fs::write(folder.join("1.safetensors"), write(&[("a", Dtype::F32, &[1], &[1; 4]), ("b", Dtype::F32, &[1], &[2; 4])]))
        .unwrap();
    std::fs::write(folder.join("2.safetensors"), write(&[("b", Dtype::F32, &[2], &[3; 8])])).unwrap();
    let file = open_index(&folder, r#"{"a":"1.safetensors","b":"2.safetensors"}"#).unwrap();
    assert_eq!(SafeTensors::open(&folder).unwrap().tensors(), file.tensors());
    let names: Vec<_> = file.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(file.data(file.tensor("a").unwrap()).unwrap(), [1; 4]);
    // The index decides which of two tensors of one name counts.
    assert_eq!(file.data(file.tensor("b").unwrap()).unwrap(), [3; 8]);
}

#[test]
fn broken_indexes_are_refused() {
    let folder = folder("indexes");
    std::fs::write(folder.join("1.safetensors"), sound()).unwrap();
    std::fs::create_dir(folder.join("sub")).unwrap();
    std::fs::write(folder.join("sub").join("1.safetensors"), sound()).unwrap();
    let absolute = folder.join("1.safetensors").display().to_string();
    for shard in [
        "../indexes/1.safetensors",
        "sub/1.safetensors",
        &absolute,
        ".",
        "..",
        "",
        "sub\\1",
        "c:1",
        "./1.safetensors",
        "1.safetensors/",
    ] {
        let map = serde_json::json!({ "w": shard }).to_string();
        let error = open_index(&folder, &map).expect_err(shard);
        assert!(error.to_string().contains("is no plain file name"), "{shard}: {error}");
    }
    let error = open_index(&folder, r#"{"w":"1.safetensors","x":"1.safetensors"}"#).unwrap_err();
    assert_eq!(error.to_string(), "malformed 1.safetensors: tensor 'x', which the index places here, is not in it");
    assert!(matches!(open_index(&folder, r#"{"w":"2.safetensors"}"#), Err(Error::Io { .. })));
    assert!(matches!(open_index(&folder, "[1]"), Err(Error::Format { .. })));
}
