//! GGUF files: what is written comes back, and what is broken is refused with its place.

#[path = "support/gguf_writer.rs"]
mod gguf_writer;

use gguf_writer::{GgufWriter, RawTensor, array_header, string};
use std::path::Path;
use wavelane::dtype::DType;
use wavelane::error::Error;
use wavelane::formats::Gguf;
use wavelane::formats::gguf::{Array, GgmlType, Strings, Value};

fn read(bytes: Vec<u8>) -> Result<Gguf, Error> {
    Gguf::from_bytes(bytes, "test.gguf")
}

fn text(text: &str) -> Value {
    Value::String(text.as_bytes().into())
}

fn every_value() -> Vec<(&'static str, Value)> {
    vec![
        ("u8", Value::U8(200)),
        ("i8", Value::I8(-100)),
        ("u16", Value::U16(60_000)),
        ("i16", Value::I16(-30_000)),
        ("u32", Value::U32(4_000_000_000)),
        ("i32", Value::I32(-2_000_000_000)),
        ("f32", Value::F32(1.5e-30)),
        ("bool", Value::Bool(true)),
        ("text", text("größe")),
        ("empty text", text("")),
        ("bytes", Value::String([0xff, 0xfe].into())),
        ("u64", Value::U64(u64::MAX)),
        ("i64", Value::I64(i64::MIN)),
        ("f64", Value::F64(-1.5e300)),
        ("[u8]", Value::Array(Array::U8(vec![0, 255]))),
        ("[i8]", Value::Array(Array::I8(vec![-128, 127]))),
        ("[u16]", Value::Array(Array::U16(vec![1, 65_535]))),
        ("[i16]", Value::Array(Array::I16(vec![-1]))),
        ("[u32]", Value::Array(Array::U32(vec![7, 8, 9]))),
        ("[i32]", Value::Array(Array::I32(vec![-7, 8]))),
        ("[f32]", Value::Array(Array::F32(vec![0.5, f32::INFINITY]))),
        ("[bool]", Value::Array(Array::Bool(vec![true, false]))),
        ("[string]", Value::Array(Array::String(["a", "", "ccc"].iter().collect()))),
        ("[]", Value::Array(Array::F64(vec![]))),
        ("[u64]", Value::Array(Array::U64(vec![1 << 60]))),
        ("[i64]", Value::Array(Array::I64(vec![-1 << 60]))),
        ("[f64]", Value::Array(Array::F64(vec![0.1]))),
        ("[[]]", Value::Array(Array::Array(vec![Array::U8(vec![1]), Array::Array(vec![Array::String(Strings::default())])]))),
    ]
}

#[test]
fn every_value_type_comes_back_in_order() {
    let values = every_value();
    let writer = values.iter().fold(GgufWriter::new(), |writer, (key, value)| writer.value(key, value));
    let file = read(writer.finish()).unwrap();
    let found: Vec<_> = file.metadata().iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    assert_eq!(found, values);
    assert!(values.iter().all(|(key, value)| file.get(key) == Some(value)));
    assert_eq!(file.get("u9"), None);
    let listed: Vec<_> = ["i8", "text", "[string]"].map(|key| file.get(key).unwrap().to_string()).into();
    assert_eq!(listed, ["-100", "größe", "[string; 3]"]);
}

#[test]
fn getters_convert_and_name_the_key_in_errors() {
    let writer = every_value().iter().fold(GgufWriter::new(), |writer, (key, value)| writer.value(key, value));
    let file = read(writer.strs("bad tokens", &[&b"ok"[..], &[0xff]]).finish()).unwrap();
    assert_eq!(file.require::<u32>("u8").unwrap(), 200);
    assert_eq!(file.require::<u64>("u64").unwrap(), u64::MAX);
    assert_eq!(file.require::<usize>("u16").unwrap(), 60_000);
    assert_eq!(file.require::<i32>("i8").unwrap(), -100);
    assert_eq!(file.require::<f32>("f32").unwrap(), 1.5e-30);
    assert!(file.require::<bool>("bool").unwrap());
    assert_eq!(file.require::<&str>("text").unwrap(), "größe");
    assert_eq!(file.require::<Vec<i32>>("[u32]").unwrap(), [7, 8, 9]);
    assert_eq!(file.require::<Vec<f32>>("[f64]").unwrap(), [0.1]);
    assert_eq!(file.require::<&[bool]>("[bool]").unwrap(), [true, false]);
    assert_eq!(file.require::<Vec<&str>>("[string]").unwrap(), ["a", "", "ccc"]);
    let bytes = file.require::<&Strings>("bad tokens").unwrap();
    assert_eq!((bytes.len(), bytes.get(1), bytes.get(2)), (2, Some(&[0xff][..]), None));
    assert_eq!(file.optional::<u32>("missing").unwrap(), None);

    let refused: [(&str, Result<(), Error>, &str); 8] = [
        ("missing", file.require::<u32>("missing").map(drop), "missing"),
        ("u64", file.require::<u32>("u64").map(drop), "u64 '18446744073709551615' instead of an integer that fits u32"),
        ("i8", file.require::<usize>("i8").map(drop), "i8 '-100' instead of an integer that fits usize"),
        ("text", file.optional::<f32>("text").map(drop), "string 'größe' instead of a float"),
        ("[i32]", file.require::<Vec<u32>>("[i32]").map(drop), "an array of i32 instead of integers that fit u32"),
        ("u8", file.require::<&Strings>("u8").map(drop), "u8 '200' instead of strings"),
        ("bytes", file.require::<&str>("bytes").map(drop), "not UTF-8"),
        ("bad tokens", file.require::<Vec<&str>>("bad tokens").map(drop), "string 1 is not UTF-8"),
    ];
    for (key, result, expected) in refused {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(&format!("test.gguf: metadata value '{key}'")) && message.contains(expected), "{message}");
    }
}

#[test]
fn tensors_come_back_with_shape_and_data() {
    for (version, alignment) in [(2, 32), (3, 8), (3, 256)] {
        let (a, b): (Vec<u8>, Vec<u8>) = ((0..2 * 3 * 4).collect(), (0..3 * 36).collect());
        let mut writer = GgufWriter::new().aligned(alignment);
        writer.version = version;
        let writer = writer.tensor("a", DType::F32, &[2, 3], &a).tensor("b", DType::Q4_0, &[3, 64], &b);
        let file = read(writer.finish()).unwrap();
        assert_eq!((file.version(), file.name()), (version, "test.gguf"));
        let [first, second] = file.tensors() else { panic!("{:?}", file.tensors()) };
        assert_eq!((first.name.as_str(), first.dtype, &first.shape[..]), ("a", Some(DType::F32), &[2, 3][..]));
        assert_eq!((second.name.as_str(), second.dtype, &second.shape[..]), ("b", Some(DType::Q4_0), &[3, 64][..]));
        assert_eq!((file.data(first).unwrap(), file.data(second).unwrap()), (&a[..], &b[..]));
        assert_eq!(second.offset % alignment as usize, 0);
        assert_eq!(file.tensor("b"), Some(second));
        assert_eq!(file.tensor("c"), None);
        // A description from another file is checked again.
        let foreign = wavelane::formats::gguf::TensorInfo { offset: usize::MAX - 4, ..first.clone() };
        assert!(matches!(file.data(&foreign), Err(Error::Format { .. })));
    }
}

#[test]
fn a_file_is_mapped_from_its_path() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join("mapped.gguf");
    std::fs::write(&path, GgufWriter::new().tensor("a", DType::F32, &[1], &[1, 2, 3, 4]).finish()).unwrap();
    let file = Gguf::open(&path).unwrap();
    assert_eq!((file.name(), file.data(&file.tensors()[0]).unwrap()), ("mapped.gguf", &[1, 2, 3, 4][..]));
    assert!(matches!(Gguf::open(&folder.join("no such file")), Err(Error::Io { .. })));
    let empty = folder.join("empty.gguf");
    std::fs::write(&empty, []).unwrap();
    assert!(matches!(Gguf::open(&empty), Err(Error::Format { .. })));
}

#[test]
fn a_file_cut_anywhere_is_refused_with_its_place() {
    let small = every_value().iter().fold(GgufWriter::new(), |writer, (key, value)| writer.value(key, value));
    let small = small.tensor("a", DType::F32, &[2], &[1; 8]).tensor("b", DType::Q8_0, &[32], &[1; 34]).finish();
    let tokens: Vec<String> = (0..5_000).map(|token| format!("token {token}")).collect();
    let large = GgufWriter::new().strs("tokens", &tokens).tensor("a", DType::F16, &[100, 100], &[0; 20_000]).finish();
    assert!(read(small.clone()).is_ok() && read(large.clone()).is_ok());

    let cuts = (0..small.len()).map(|cut| &small[..cut]).chain((0..100).map(|percent| &large[..large.len() * percent / 100]));
    for cut in cuts {
        let error = read(cut.to_vec()).expect_err("a truncated file");
        let Error::Format { place, .. } = &error else { panic!("{} bytes: {error}", cut.len()) };
        assert!(place.starts_with("test.gguf: ") && place.contains(" at byte "), "{} bytes: {error}", cut.len());
    }
}

#[test]
fn a_file_with_one_wrong_byte_is_refused_or_consistent() {
    let sound = every_value().iter().fold(GgufWriter::new().aligned(16), |writer, (key, value)| writer.value(key, value));
    let sound = sound.tensor("a", DType::F32, &[1, 2], &[1; 8]).tensor("b", DType::Q4_1, &[2, 32], &[1; 40]).finish();
    for (at, mask) in (0..sound.len()).flat_map(|at| [0x01, 0x80, 0xff].map(|mask| (at, mask))) {
        let mut bytes = sound.clone();
        bytes[at] ^= mask;
        let Ok(file) = read(bytes) else { continue };
        for tensor in file.tensors() {
            let data = file.data(tensor).map(<[u8]>::len);
            let loadable = matches!(data, Ok(len) if len == tensor.bytes && tensor.dtype.is_some());
            let listed = matches!(data, Err(Error::Unsupported(_))) && tensor.dtype.is_none();
            assert!(loadable || listed, "byte {at} ^ {mask:#x}: {tensor:?}");
        }
    }
}

fn raw(name: &str, dimensions: &[u64], ggml_type: u32, offset: Option<u64>, bytes: usize) -> RawTensor {
    RawTensor { name: name.into(), dimensions: dimensions.into(), ggml_type, offset, data: vec![0; bytes] }
}

#[test]
fn hostile_metadata_is_refused() {
    let header = |tensors: u64, entries: u64| {
        [b"GGUF".to_vec(), 3u32.to_le_bytes().into(), tensors.to_le_bytes().into(), entries.to_le_bytes().into(), vec![0; 64]]
            .concat()
    };
    let value = |kind, bytes: &[u8]| GgufWriter::new().raw_value(b"key", kind, bytes).finish();
    let nested: Vec<u8> = (0..100_000).flat_map(|_| array_header(9, 1)).collect();
    let cases = [
        ("no GGUF file", b"GGML0000".to_vec()),
        ("header at byte 8: 18446744073709551615 tensors cannot fit", header(u64::MAX, 0)),
        ("3 tensors cannot fit", header(3, 0)),
        ("header at byte 16: 1152921504606846976 metadata entries cannot fit", header(0, 1 << 60)),
        ("metadata value 'key' at byte 35: there is no value type 13", value(13, &[0; 64])),
        ("there is no value type 77", value(9, &array_header(77, 0))),
        ("2 is no bool", value(7, &[2])),
        ("3 is no bool", value(9, &[array_header(7, 2), vec![1, 3]].concat())),
        ("18446744073709551615 bytes expected", value(8, &[0xff; 64])),
        ("18446744073709551615 elements cannot fit", value(9, &array_header(12, u64::MAX))),
        ("2305843009213693952 elements cannot fit", value(9, &array_header(12, 1 << 61))),
        ("1000000000000 elements cannot fit", value(9, &array_header(8, 1_000_000_000_000))),
        ("100000000000 elements cannot fit", value(9, &array_header(9, 100_000_000_000))),
        ("arrays nest deeper than 8", value(9, &nested)),
        ("key of metadata entry 0 at byte 32: not UTF-8", GgufWriter::new().raw_value(&[0xff], 0, &[1]).finish()),
        ("a key has 65535 at most", GgufWriter::new().u32(&"k".repeat(65_536), 1).finish()),
        ("key 'a' occurs twice", GgufWriter::new().u32("a", 1).u32("a", 1).finish()),
        ("0 is no power of two", GgufWriter::new().u32("general.alignment", 0).finish()),
        ("48 is no power of two", GgufWriter::new().u32("general.alignment", 48).finish()),
        ("'general.alignment' at byte 61: string 'x'", GgufWriter::new().str("general.alignment", "x").finish()),
    ];
    for (expected, bytes) in cases {
        let error = read(bytes).expect_err(expected);
        let Error::Format { place, .. } = &error else { panic!("{error}") };
        assert!(place.starts_with("test.gguf: ") && error.to_string().contains(expected), "{error}, not {expected}");
    }
}

#[test]
fn hostile_tensors_are_refused() {
    let file = |tensors: Vec<RawTensor>| tensors.into_iter().fold(GgufWriter::new(), GgufWriter::raw_tensor).finish();
    let bad_name = RawTensor { name: vec![0xc0], ..raw("", &[1], 0, None, 4) };
    let cases = [
        ("tensor 'a' at byte 33: 0 dimensions", vec![raw("a", &[], 0, None, 64)]),
        ("5 dimensions", vec![raw("a", &[1; 5], 0, None, 64)]),
        ("a dimension of 0", vec![raw("a", &[4, 0], 0, None, 64)]),
        ("overflows", vec![raw("a", &[1 << 40, 1 << 40], 0, None, 64)]),
        ("overflows", vec![raw("a", &[1 << 62], 0, None, 64)]),
        ("past the", vec![raw("a", &[1 << 61], 24, None, 64)]),
        ("33 elements is no whole number of Q4_0 blocks of 32", vec![raw("a", &[33, 2], 2, None, 64)]),
        ("128 elements is no whole number of Q6_K blocks of 256", vec![raw("a", &[128, 2], 14, None, 512)]),
        ("offset 4 is no multiple of the alignment 32", vec![raw("a", &[4], 0, Some(4), 64)]),
        ("tensor 'a' at byte 128: its 16 bytes end past the 128 bytes", vec![raw("a", &[4], 0, Some(64), 64)]),
        ("its 16 bytes end past", vec![raw("a", &[4], 0, Some(u64::MAX - 31), 64)]),
        ("its 16 bytes end past", vec![raw("a", &[4], 0, Some((1 << 63) - 32), 64)]),
        ("tensor 'b' at byte 128: overlaps tensor 'a'", vec![raw("b", &[4], 0, Some(32), 64), raw("a", &[16], 0, Some(0), 64)]),
        ("overlaps tensor", vec![raw("a", &[4], 0, Some(0), 64), raw("b", &[4], 0, Some(0), 64)]),
        ("name of tensor 1 at byte 65: name 'a' occurs twice", vec![raw("a", &[4], 0, None, 16), raw("a", &[4], 0, None, 16)]),
        ("name of tensor 0 at byte 32: not UTF-8", vec![bad_name]),
    ];
    for (expected, tensors) in cases {
        let error = read(file(tensors)).expect_err(expected);
        let Error::Format { place, .. } = &error else { panic!("{error}") };
        assert!(place.starts_with("test.gguf: ") && error.to_string().contains(expected), "{error}, not {expected}");
    }
}

#[test]
fn other_versions_are_refused_by_name() {
    for (version, expected) in [(1, "version 1"), (3 << 24, "big-endian"), (4, "version 4"), (0, "version 0")] {
        let mut writer = GgufWriter::new();
        writer.version = version;
        let error = read(writer.finish()).unwrap_err();
        assert!(matches!(&error, Error::Unsupported(what) if what.contains(expected)), "{error}");
    }
}

#[test]
fn types_that_cannot_be_loaded_are_listed_and_named() {
    let writer = GgufWriter::new().raw_tensor(raw("iq", &[256, 2], 16, None, 132)).raw_tensor(raw("old", &[4], 31, None, 0));
    let file = read(writer.raw_tensor(raw("ids", &[2], 26, None, 8)).finish()).unwrap();
    assert_eq!(file.tensors().iter().map(|tensor| tensor.bytes).collect::<Vec<_>>(), [132, 0, 8]);
    let message = |name| file.data(file.tensor(name).unwrap()).unwrap_err().to_string();
    assert_eq!(message("iq"), "unsupported: test.gguf: tensor 'iq' has type IQ2_XXS");
    assert_eq!(message("old"), "unsupported: test.gguf: tensor 'old' has type Q4_0_4_4, which ggml has removed");
    assert_eq!(file.tensor("ids").unwrap().dtype, Some(DType::I32));

    let unknown = read(GgufWriter::new().raw_tensor(raw("new", &[4], 99, None, 64)).finish()).unwrap_err();
    assert_eq!(unknown.to_string(), "unsupported: test.gguf: tensor 'new' has unknown ggml type 99");
}

#[test]
fn the_type_table_has_no_gaps_and_covers_every_weight_type() {
    let types: Vec<&GgmlType> = (0..).map_while(GgmlType::of).collect();
    assert_eq!(types.len(), 42);
    assert!(types.iter().zip(0..).all(|(known, id)| known.id == id));
    assert_eq!(types.iter().filter(|known| known.removed()).count(), 8);
    for dtype in DType::WEIGHTS {
        let known = types.iter().find(|known| known.dtype == Some(dtype)).unwrap();
        assert_eq!(known.name.to_lowercase(), dtype.name());
    }
}

#[test]
fn a_tensor_of_the_smallest_alignment_needs_no_padding() {
    let file = read(GgufWriter::new().aligned(1).tensor("a", DType::F32, &[1], &1f32.to_le_bytes()).finish()).unwrap();
    assert_eq!(file.data(&file.tensors()[0]).unwrap(), 1f32.to_le_bytes());
    // A vocabulary file has no tensors, and need not be padded.
    let vocabulary =
        [b"GGUF", &3u32.to_le_bytes()[..], &0u64.to_le_bytes(), &1u64.to_le_bytes(), &string(b"k"), &[0, 0, 0, 0, 9]].concat();
    assert_eq!(read(vocabulary).unwrap().require::<u8>("k").unwrap(), 9);
}
