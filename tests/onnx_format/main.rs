//! ONNX files: what other programs wrote is read, and what is broken is refused with its place.
//! `scripts/make_format_vectors.py` made the files of `tests/data/onnx`.

mod external;
mod functions;
mod hostile;
mod message;
mod names;

use message::Message;
use std::path::PathBuf;
use wavelane::error::Error;
use wavelane::formats::element::ElementType;
use wavelane::formats::onnx::{
    Attribute, Dim, Model, OnnxFile, OnnxValue, ValueKind, read_tensor_proto, read_value, write_tensor_proto,
};
use wavelane::tensor::{Data, Tensor};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name)
}

fn read(model: &Message) -> Result<Model, Error> {
    OnnxFile::from_bytes(model.0.clone(), None).map(|file| file.model)
}

/// What is wrong with a model, as a message.
fn refusal(model: &Message) -> String {
    read(model).expect_err("a broken model").to_string()
}

fn tensor_proto(name: &str) -> Tensor {
    read_tensor_proto(&std::fs::read(data(name)).unwrap()).unwrap().to_tensor().unwrap()
}

#[test]
fn a_model_comes_with_all_that_its_file_says() {
    let file = OnnxFile::open(&data("linear.onnx")).unwrap();
    let (model, graph) = (&file.model, &file.model.graph);
    assert_eq!((model.ir_version, &model.producer), (10, &("test".to_owned(), "1".to_owned())));
    assert_eq!(model.opsets.iter().collect::<Vec<_>>(), [(&String::new(), &21)]);
    assert!(model.functions.is_empty() && file.data_files.is_empty());
    assert_eq!(graph.name, "linear");
    let labels: Vec<_> = graph.nodes.iter().map(|node| node.label()).collect();
    assert_eq!(labels, ["node 'product' (MatMul)", "node 'sum' (Add)"]);
    assert_eq!((&graph.nodes[0].inputs, &graph.nodes[0].outputs), (&vec!["x".to_owned(), "w".into()], &vec!["xw".to_owned()]));
    assert_eq!(graph.nodes[0].opset, 21);
    let tensor = |shape| ValueKind::Tensor { ty: ElementType::Float, shape: Some(shape) };
    assert_eq!(graph.inputs[0].kind, tensor(vec![Dim::Unknown, Dim::Value(2)]));
    assert_eq!(graph.outputs[0].kind, tensor(vec![Dim::Param("n".to_owned()), Dim::Value(3)]));

    let [(w, weights), (b, bias)] = &graph.initializers[..] else { panic!("two initializers") };
    assert_eq!((w.as_str(), weights.shape(), b.as_str()), ("w", &[2, 3][..], "b"));
    assert_eq!(weights.to_tensor().unwrap().data(), &Data::F32(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    assert_eq!(bias.to_tensor().unwrap().data(), &Data::F32(vec![1.0, 2.0, 3.0]));
}

#[test]
fn raw_data_is_shared_with_the_file() {
    let bytes = std::fs::read(data("linear.onnx")).unwrap();
    let (from, len) = (bytes.as_ptr() as usize, bytes.len());
    let model = OnnxFile::from_bytes(bytes, None).unwrap().model;
    let (owner, range) = model.graph.initializers[0].1.bytes().unwrap();
    let slice = &(*owner).as_ref()[range];
    assert_eq!(slice.len(), 24);
    assert!((from..from + len).contains(&(slice.as_ptr() as usize)));
}

#[test]
fn sparse_initializers_become_dense() {
    for name in ["sparse_linear.onnx", "sparse_pairs.onnx"] {
        let model = OnnxFile::open(&data(name)).unwrap().model;
        let (name, tensor) = &model.graph.initializers[0];
        assert_eq!((name.as_str(), tensor.shape()), ("s", &[2, 3][..]));
        assert_eq!(tensor.to_tensor().unwrap().data(), &Data::F32(vec![0.0, 5.0, 0.0, 0.0, 0.0, 7.0]));
    }
}

#[test]
fn numbers_are_found_in_typed_fields() {
    assert_eq!(tensor_proto("float4e2m1.pb").data(), &Data::F32(vec![0.5, -1.5, 6.0]));
    assert_eq!(tensor_proto("float16.pb").data(), &Data::F32(vec![1.5, -2.0]));
    assert_eq!(tensor_proto("int4.pb").data(), &Data::I64(vec![-8, 7, 1]));
    assert_eq!(tensor_proto("uint2.pb").data(), &Data::I64(vec![3, 0, 2, 1, 1]));
    assert_eq!(tensor_proto("int2.pb").data(), &Data::I64(vec![-2, 1, -1]));
    assert_eq!(tensor_proto("bool.pb").data(), &Data::I64(vec![1, 0]));
    let six_bits = message::tensor("t", ElementType::Float6E2M3.onnx().into(), &[3]).bytes(5, &[0x1f, 0x20, 0x08]);
    let six_bits = read_tensor_proto(&six_bits.0).unwrap();
    assert_eq!(six_bits.to_tensor().unwrap().data(), &Data::F32(vec![7.5, -0.0, 1.0]));
    assert_eq!(six_bits.raw().len(), 3);
}

#[test]
fn tensors_of_every_type_survive_writing() {
    for ty in ElementType::ALL {
        let values = match (ty.is_float(), ty.is_integer()) {
            (true, _) => Data::F32(vec![0.5, 1.0, 2.0, 4.0, 1.0, 2.0]),
            (_, true) => Data::I64(vec![0, 1, 1, 0, 1, 0]),
            _ => continue,
        };
        let tensor = Tensor::new(&[3, 1, 2], values).unwrap();
        let read = read_tensor_proto(&write_tensor_proto(ty, &tensor, "t").unwrap()).unwrap();
        assert_eq!((read.ty(), read.to_tensor().unwrap()), (ty, tensor));
    }
}

#[test]
fn strings_are_kept_but_are_no_host_tensor() {
    let proto = message::tensor("t", 8, &[2]).texts(6, &["a", ""]);
    let tensor = read_tensor_proto(&proto.0).unwrap();
    assert_eq!(tensor.strings().unwrap(), [&b"a"[..], b""]);
    assert!(tensor.bytes().is_none());
    assert!(matches!(tensor.to_tensor(), Err(Error::Unsupported(_))));
    assert!(read_tensor_proto(&message::tensor("t", 8, &[3]).texts(6, &["a"]).0).is_err());
}

#[test]
fn attributes_of_the_first_files_have_no_type() {
    let attributes = [Message::new().text(1, "axis").int(3, -1), Message::new().text(1, "mode").text(4, "linear")];
    let node = message::node("Op", &["x"], &["y"]).messages(5, &attributes);
    let model = read(&message::model(&message::graph(&[node], &["x"], &["y"]))).unwrap();
    let attributes = &model.graph.nodes[0].attributes;
    assert_eq!(attributes["axis"], Attribute::Int(-1));
    assert_eq!(attributes["mode"], Attribute::String(b"linear".to_vec()));
}

#[test]
fn values_of_all_kinds_are_read_from_files_of_their_own() {
    let tensor = ValueKind::Tensor { ty: ElementType::Float, shape: None };
    let sequence = ValueKind::Sequence(Box::new(tensor.clone()));
    let proto = message::tensor("t", 1, &[1]).bytes(9, &[0; 4]);
    let one = Message::new().int(2, 1).message(3, &proto);
    assert!(matches!(read_value(&tensor, &proto.0).unwrap(), OnnxValue::Tensor(_)));
    assert!(matches!(read_value(&sequence, &one.0).unwrap(), OnnxValue::Sequence(values) if values.len() == 1));
    let optional = ValueKind::Optional(Box::new(sequence));
    assert_eq!(read_value(&optional, &[]).unwrap(), OnnxValue::Optional(None));
    let some = Message::new().message(5, &one);
    assert!(matches!(read_value(&optional, &some.0).unwrap(), OnnxValue::Optional(Some(_))));
    assert!(matches!(read_value(&ValueKind::Unknown, &[]), Err(Error::Unsupported(_))));
}
