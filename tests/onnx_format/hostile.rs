//! Files that are cut, changed or absurd.

use super::message::{Message, graph, graph_attribute, model, node, tensor, value};
use super::{data, read, refusal};
use wavelane::error::Error;
use wavelane::formats::onnx::{OnnxFile, expand_functions, read_tensor_proto};

#[test]
fn a_model_cut_anywhere_is_refused() {
    for name in ["linear.onnx", "sparse_pairs.onnx"] {
        let bytes = std::fs::read(data(name)).unwrap();
        for cut in 0..bytes.len() {
            let error = OnnxFile::from_bytes(bytes[..cut].to_vec(), None).expect_err(name);
            assert!(matches!(error, Error::Format { .. }), "{name}, {cut} bytes: {error}");
        }
    }
}

#[test]
fn changed_bytes_never_panic() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % n
    };
    for name in ["linear.onnx", "functions.onnx", "sparse_linear.onnx", "sparse_pairs.onnx", "int4.pb", "float16.pb"] {
        let bytes = std::fs::read(data(name)).unwrap();
        for _ in 0..4000 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + random(3) {
                let at = random(bytes.len());
                bytes[at] = if random(2) == 0 { random(256) as u8 } else { bytes[at] ^ 1 << random(8) };
            }
            if let Ok(tensor) = read_tensor_proto(&bytes) {
                tensor.to_tensor().ok();
            }
            if let Ok(mut file) = OnnxFile::from_bytes(bytes, None) {
                file.model.graph.initializers.iter().for_each(|(_, tensor)| drop(tensor.to_tensor()));
                expand_functions(&mut file.model).ok();
            }
        }
    }
}

#[test]
fn what_is_no_model_is_refused() {
    for bytes in [&b""[..], b"GGUF\x03\0\0\0", b"{\"a\": 1}", &[0xff; 64], &[0; 64], b"PK\x03\x04"] {
        assert!(matches!(OnnxFile::from_bytes(bytes.to_vec(), None), Err(Error::Format { .. })), "{bytes:?}");
    }
    assert!(refusal(&Message::new().int(1, 10)).contains("the model has no graph"));
    assert!(refusal(&Message::new().int(1, -1)).contains("IR version is -1"));
    assert!(matches!(read(&Message::new().int(1, 1000)), Err(Error::Unsupported(_))));
    let missing = OnnxFile::open(&data("nothing.onnx"));
    assert!(matches!(missing, Err(Error::Io { path, .. }) if path.ends_with("nothing.onnx")));
}

fn with(tensor: Message) -> Message {
    model(&graph(&[node("A", &["x"], &["y"])], &["x"], &["y"]).message(5, &tensor))
}

#[test]
fn absurd_shapes_are_refused_with_their_tensor() {
    let raw = |ty, dims: &[i64]| tensor("w", ty, dims).bytes(9, &[0; 8]);
    assert!(read(&with(raw(1, &[2]))).is_ok() && read(&with(raw(1, &[2, 1, 1]))).is_ok());
    let cases = [
        (raw(1, &[-1]), "negative"),
        (raw(1, &[i64::MIN, 2]), "negative"),
        (raw(1, &[i64::MAX, i64::MAX]), "too many"),
        (raw(1, &[1 << 32, 1 << 32]), "too many"),
        (raw(11, &[i64::MAX]), "too many"),
        (raw(1, &[3]), "8 bytes of data, but its shape [3] and type float need 12"),
        (raw(1, &[]), "need 4"),
        (raw(1, &[0]), "need 0"),
        (raw(22, &[14]), "need 7"),
        (tensor("w", 1, &[2]), "0 bytes of data"),
        (raw(0, &[2]), "element type 0 is unknown"),
        (raw(29, &[2]), "element type 29 is unknown"),
        (raw(8, &[2]), "0 strings"),
        (raw(1, &[2]).int(14, 2), "data location 2"),
        (tensor("w", 2, &[1]).bytes(5, &[0x80, 2]), "a number that is no uint8"),
        (raw(1, &[2]).message(3, &Message::new().int(1, 0)), "segments"),
    ];
    for (tensor, expected) in cases {
        let message = refusal(&with(tensor));
        assert!(message.contains("initializer 'w'") && message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn absurd_values_are_refused() {
    for dims in [&[-2][..], &[i64::MIN], &[i64::MAX, 3], &[0, i64::MAX, i64::MAX]] {
        let graph = graph(&[node("A", &["x"], &["y"])], &["x"], &["y"]).message(13, &value("v", dims));
        assert!(refusal(&model(&graph)).contains("value 'v': its dimension"), "{dims:?}");
    }
    let graph = graph(&[node("A", &["x"], &["y"])], &["x"], &["y"]).message(13, &value("v", &[-1, 0, i64::MAX]));
    assert!(read(&model(&graph)).is_ok(), "-1 stands for an unknown size");
}

#[test]
fn absurd_sparse_tensors_are_refused() {
    let indices = |numbers: &[i64], dims: &[i64]| {
        let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        tensor("", 7, dims).bytes(9, &raw)
    };
    let sparse = |values: i64, indices: Message, dims: &[i64]| {
        let values = tensor("s", 1, &[values]).bytes(9, &vec![0; 4 * values as usize]);
        let sparse = dims.iter().fold(Message::new().message(1, &values).message(2, &indices), |m, dim| m.int(3, *dim));
        model(&graph(&[node("A", &["x"], &["y"])], &["x"], &["y"]).message(15, &sparse))
    };
    assert!(read(&sparse(1, indices(&[5], &[1]), &[2, 3])).is_ok());
    assert!(read(&sparse(1, indices(&[0], &[1]), &[])).is_ok(), "a scalar has one element");
    assert!(read(&sparse(0, indices(&[], &[0]), &[2, 3])).is_ok());
    let cases = [
        sparse(1, indices(&[6], &[1]), &[2, 3]),
        sparse(1, indices(&[-1], &[1]), &[2, 3]),
        sparse(1, indices(&[0, 3], &[1, 2]), &[2, 3]),
        sparse(1, indices(&[0, 1], &[1, 2]), &[6]),
        sparse(2, indices(&[0], &[1]), &[2, 3]),
        sparse(1, indices(&[0], &[1]), &[1 << 60]),
        sparse(1, indices(&[0], &[1]), &[1 << 40, 1 << 40]),
        sparse(1, indices(&[0], &[1]), &[-6]),
        model(&graph(&[], &["x"], &["x"]).message(15, &Message::new())),
    ];
    for (i, case) in cases.iter().enumerate() {
        assert!(read(case).is_err(), "case {i}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let nest = |depth: usize| {
        let inner = (0..depth).fold(graph(&[], &["x"], &["x"]), |inner, _| {
            graph(&[node("If", &["x"], &["y"]).message(5, &graph_attribute("body", &inner))], &["x"], &["y"])
        });
        model(&inner)
    };
    assert!(read(&nest(16)).is_ok());
    assert!(refusal(&nest(17)).contains("nested"));
    for depth in [40, 500, 3000] {
        assert!(refusal(&nest(depth)).contains("recursion limit"), "{depth}");
    }
}

#[test]
fn attributes_must_be_what_they_say() {
    let with = |attributes: &[Message]| model(&graph(&[node("A", &["x"], &["y"]).messages(5, attributes)], &["x"], &["y"]));
    let attribute = |ty: i64| Message::new().text(1, "a").int(20, ty);
    assert!(refusal(&with(&[attribute(4)])).contains("attribute 'a': it has no value of its type"));
    assert!(refusal(&with(&[attribute(5)])).contains("no value of its type"));
    assert!(refusal(&with(&[attribute(99)])).contains("attribute type 99 is unknown"));
    assert!(refusal(&with(&[attribute(0)])).contains("no value"));
    assert!(refusal(&with(&[attribute(2), attribute(2)])).contains("occurs twice"));
}
