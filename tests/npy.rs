//! NumPy arrays: what NumPy wrote is read, what is written comes back, and what is broken is refused.
//! `scripts/make_format_vectors.py` made the files of `tests/data/npy`.

use std::path::PathBuf;
use wavelane::error::Error;
use wavelane::formats::element::ElementType;
use wavelane::formats::npy::{read_npy, read_npz, write_npy, write_npz};
use wavelane::tensor::{Data, Tensor};

const LIMIT: usize = 1 << 20;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/npy").join(name)).unwrap()
}

fn ints(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::new(shape, Data::I64(values.to_vec())).unwrap()
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::new(shape, Data::F32(values.to_vec())).unwrap()
}

/// A version 1.0 file.
fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn arrays_of_every_type_are_read() {
    let types = [
        ("i1", ElementType::Int8),
        ("i2", ElementType::Int16),
        ("i4", ElementType::Int32),
        ("i8", ElementType::Int64),
        ("u1", ElementType::Uint8),
        ("u2", ElementType::Uint16),
        ("u4", ElementType::Uint32),
        ("u8", ElementType::Uint64),
    ];
    for (code, ty) in types {
        assert_eq!(read_npy(&file(&format!("{code}.npy"))).unwrap(), (ty, ints(&[2, 3], &[100, 0, 100, 0, 100, 100])), "{code}");
    }
    for (code, ty) in [("f2", ElementType::Float16), ("f4", ElementType::Float), ("f8", ElementType::Double)] {
        let expected = floats(&[2, 3], &[100.0, 0.0, 100.0, 0.0, 100.0, 100.0]);
        assert_eq!(read_npy(&file(&format!("{code}.npy"))).unwrap(), (ty, expected), "{code}");
    }
    assert_eq!(read_npy(&file("b1.npy")).unwrap(), (ElementType::Bool, ints(&[2, 3], &[1, 0, 1, 0, 1, 1])));
}

#[test]
fn orders_shapes_and_versions_are_understood() {
    assert_eq!(read_npy(&file("big_endian.npy")).unwrap().1, floats(&[3], &[1.5, -2.0, 1e10]));
    assert_eq!(read_npy(&file("columns_first.npy")).unwrap().1, ints(&[2, 3, 4], &(0..24).collect::<Vec<_>>()));
    assert_eq!(read_npy(&file("scalar.npy")).unwrap().1, floats(&[], &[2.5]));
    assert_eq!(read_npy(&file("empty.npy")).unwrap().1, floats(&[0, 3], &[]));
    assert_eq!(read_npy(&file("version2.npy")).unwrap().1, ints(&[1], &[7]));
    assert_eq!(read_npy(&file("version3.npy")).unwrap().1, ints(&[1], &[8]));
    let python2 = with_header("{\"shape\": (2L,), 'descr':'>i2','fortran_order' : True }  \n", &[0, 1, 0, 2]);
    assert_eq!(read_npy(&python2).unwrap(), (ElementType::Int16, ints(&[2], &[1, 2])));
}

#[test]
fn what_is_written_comes_back() {
    for code in ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "scalar", "empty", "version2"] {
        let (ty, tensor) = read_npy(&file(&format!("{code}.npy"))).unwrap();
        let written = write_npy(ty, &tensor).unwrap();
        assert_eq!(read_npy(&written).unwrap(), (ty, tensor));
        if code != "version2" {
            let start = written.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            assert_eq!(start % 64, 0);
            let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[10..start.min(bytes.len())]).trim_end().to_owned();
            assert_eq!(text(&written), text(&file(&format!("{code}.npy"))), "the header is NumPy's own");
        }
    }
    let tensor = floats(&[1], &[1.0]);
    assert!(matches!(write_npy(ElementType::Bfloat16, &tensor), Err(Error::Unsupported(_))));
    assert!(matches!(write_npy(ElementType::Int8, &tensor), Err(Error::Shape { .. })));
}

#[test]
fn archives_are_read_and_written() {
    let stored = read_npz(&file("stored.npz"), LIMIT).unwrap();
    assert_eq!(stored["a"], (ElementType::Float, floats(&[3], &[0.0, 1.0, 2.0])));
    assert_eq!(stored["b"], (ElementType::Bool, ints(&[1, 1], &[1])));
    let deflated = read_npz(&file("deflated.npz"), LIMIT).unwrap();
    assert_eq!(deflated["zeros"], (ElementType::Float, floats(&[10000], &[0.0; 10000])));
    assert_eq!(deflated["one"], (ElementType::Int8, ints(&[], &[1])));
    let message = read_npz(&file("deflated.npz"), 1000).unwrap_err().to_string();
    assert!(message.contains("array 'zeros': more than 1000 bytes when unpacked"), "{message}");

    let arrays: Vec<_> = stored.iter().map(|(name, (ty, tensor))| (name.as_str(), *ty, tensor)).collect();
    assert_eq!(read_npz(&write_npz(&arrays).unwrap(), LIMIT).unwrap(), stored);
    let twice = [arrays[0], arrays[0]];
    assert!(matches!(write_npz(&twice), Err(Error::Request(_))));
    let same = [arrays[0], ("a.npy", arrays[1].1, arrays[1].2)];
    assert!(read_npz(&write_npz(&same).unwrap(), LIMIT).is_ok(), "'a.npy.npy' is the array 'a.npy'");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for name in ["f4.npy", "columns_first.npy", "version2.npy"] {
        let bytes = file(name);
        for cut in 0..bytes.len() {
            assert!(matches!(read_npy(&bytes[..cut]), Err(Error::Format { .. })), "{name}, {cut} bytes");
        }
        assert!(read_npy(&[&bytes[..], &[0]].concat()).is_err(), "{name} and a byte");
    }
    for name in ["stored.npz", "deflated.npz"] {
        let bytes = file(name);
        for cut in 0..bytes.len() {
            assert!(read_npz(&bytes[..cut], LIMIT).is_err(), "{name}, {cut} bytes");
        }
    }
}

#[test]
fn malformed_headers_are_refused() {
    let whole = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n";
    assert!(read_npy(&with_header(whole, &[0; 4])).is_ok());
    let cases = [
        ("", "'{' is expected"),
        ("{", "a text in quotes"),
        ("{}", "is missing"),
        ("{'descr': '<f4'}", "is missing"),
        ("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}", "True or False"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': 1}", "'(' is expected"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "a size is expected"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "a size is expected"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "too many elements"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807,)}", "too many elements"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}", "4 follow"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}", "')' is expected"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", "'more' is unknown"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "more text"),
        ("{'descr': '<O', 'fortran_order': False, 'shape': (1,)}", "unsupported"),
        ("{'descr': '<<f4', 'fortran_order': False, 'shape': (1,)}", "unsupported"),
        ("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", "unsupported"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (0,)}", "complex64"),
        ("{'descr': '\u{2603}f4', 'fortran_order': False, 'shape': (1,)}", "unsupported"),
    ];
    for (header, expected) in cases {
        let message = read_npy(&with_header(header, &[0; 4])).expect_err(header).to_string();
        assert!(message.contains(expected), "{header}: {message}");
    }
    let many = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({})}}", "1,".repeat(65));
    assert!(read_npy(&with_header(&many, &[0; 4])).unwrap_err().to_string().contains("more than 64 dimensions"));
    assert!(matches!(read_npy(&file("structure.npy")), Err(Error::Unsupported(_))));
    assert!(matches!(read_npy(b"\x93NUMPY\x09\x00\x00\x00"), Err(Error::Unsupported(_))));
}

#[test]
fn changed_bytes_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % n
    };
    for name in ["f4.npy", "columns_first.npy", "version3.npy", "stored.npz", "deflated.npz"] {
        let bytes = file(name);
        for _ in 0..4000 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + random(3) {
                let at = random(bytes.len());
                bytes[at] = if random(2) == 0 { random(256) as u8 } else { bytes[at] ^ 1 << random(8) };
            }
            read_npy(&bytes).ok();
            read_npz(&bytes, LIMIT).ok();
        }
    }
}
