//! Real-ESRGAN's small networks: ncnn's numbers on every device, and files that are no such model.

#[path = "support/devices.rs"]
mod devices;
mod support;

use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, TensorView, serialize};
use wavelane::error::{Error, Result};
use wavelane::formats::SafeTensors;
use wavelane::formats::npy::read_npz;
use wavelane::models::Srvgg;
use wavelane::plan::Request;
use wavelane::session::{Device, GraphSession};
use wavelane::shape::Symbols;
use wavelane::tensor::Tensor;

/// Runs a model on a picture, `[1, 3, height, width]`.
fn enlarge(model: &Srvgg, device: &Device, picture: &Tensor) -> Tensor {
    let [_, _, height, width] = *picture.shape() else { panic!("a picture") };
    let mut session = GraphSession::new(device, Arc::new(model.graph(height, width).unwrap()), None).unwrap();
    let request = Request { symbols: Symbols::new(), outputs: vec![0] };
    session.run(&request, vec![picture.clone()]).unwrap().remove(0)
}

#[test]
fn results_are_ncnn_s() {
    let Some(model) = support::upscaler_path() else { return };
    let model = Srvgg::open(&model).unwrap();
    assert_eq!((model.scale(), model.reach()), (4, 18));
    let golden = read_npz(&std::fs::read(Path::new("tests/data/upscale/enlarged.npz")).unwrap(), 1 << 20).unwrap();
    let [picture, enlarged, tolerance] = ["picture", "enlarged", "tolerance"].map(|name| &golden[name].1);
    let picture = Tensor::f32(picture.shape(), picture.to_f32().iter().map(|byte| byte / 255.0).collect()).unwrap();
    let tolerance = tolerance.as_f32().unwrap()[0];
    for device in [Device::Cpu].into_iter().chain(devices::open().into_iter().map(Device::Gpu)) {
        let found = enlarge(&model, &device, &picture);
        assert_eq!(found.shape(), enlarged.shape());
        let off = found.as_f32().unwrap().iter().zip(enlarged.as_f32().unwrap()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{}: off by {off:e}, {tolerance:e} allowed", device.name());
        assert!(off <= tolerance, "{}: off by {off:e}, {tolerance:e} allowed", device.name());
    }
}

type Tensors = Vec<(&'static str, Dtype, Vec<usize>)>;

/// A network that doubles pictures: two filters, then twelve, all zero.
fn tiny() -> Tensors {
    vec![
        ("body.0.weight", Dtype::F16, vec![2, 3, 3, 3]),
        ("body.0.bias", Dtype::F32, vec![2]),
        ("body.1.weight", Dtype::F32, vec![2]),
        ("body.2.weight", Dtype::BF16, vec![12, 2, 3, 3]),
        ("body.2.bias", Dtype::F32, vec![12]),
    ]
}

fn load(tensors: &Tensors) -> Result<Srvgg> {
    let zeros = vec![0; 1 << 12];
    let view = |dtype: Dtype, shape: &[usize]| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        TensorView::new(dtype, shape.to_vec(), &zeros[..bytes]).unwrap()
    };
    let bytes = serialize(tensors.iter().map(|(name, dtype, shape)| (*name, view(*dtype, shape))), None).unwrap();
    Srvgg::from_safetensors(&SafeTensors::from_bytes(bytes, "test.safetensors")?)
}

#[test]
fn without_weights_every_pixel_becomes_a_square() {
    let model = load(&tiny()).unwrap();
    assert_eq!((model.scale(), model.reach()), (2, 2));
    let picture = Tensor::f32(&[1, 3, 1, 2], vec![0.0, 0.1, 0.2, 0.3, 0.4, 0.5]).unwrap();
    let enlarged = enlarge(&model, &Device::Cpu, &picture);
    assert_eq!(enlarged.shape(), [1, 3, 2, 4]);
    let expected = [[0.0, 0.1], [0.2, 0.3], [0.4, 0.5]].map(|[a, b]| [a, a, b, b, a, a, b, b]);
    assert_eq!(enlarged.as_f32().unwrap(), expected.concat());
    assert!(matches!(model.graph(0, 2), Err(Error::Shape { .. })));
    assert!(model.graph(usize::MAX / 2, usize::MAX / 2).is_err());
}

#[test]
fn convolutions_keep_their_bias_and_slope_in_their_tail() {
    let graph = load(&tiny()).unwrap().graph(5, 7).unwrap();
    let convolutions = graph.nodes.iter().filter(|node| node.op.name() == "Conv");
    assert_eq!(convolutions.map(|node| node.inputs.len()).collect::<Vec<_>>(), [4, 3]);
}

/// A change to a tiny model that makes it none.
type Change = fn(&mut Tensors);

#[test]
fn files_that_are_no_such_model_are_refused_with_the_tensor() {
    let cases: [(Change, &str); 9] = [
        (|t| t.clear(), "'body.0.weight'"),
        (|t| _ = t.remove(0), "'body.0.weight'"),
        (|t| _ = t.remove(1), "'body.0.bias'"),
        (|t| t[0].2 = vec![2, 4, 3, 3], "body.0.weight: the shape [2, 4, 3, 3] is not [filters, 3, 3, 3]"),
        (|t| t[0].2 = vec![0, 3, 3, 3], "body.0.weight: the shape [0, 3, 3, 3]"),
        (|t| t[2].2 = vec![3], "body.1.weight: the shape [3] is not [2]"),
        (|t| (t[3].2[0], t[4].2[0]) = (13, 13), "body.2.weight: 13 filters"),
        (|t| t[4].1 = Dtype::I64, "tensor 'body.2.bias' has type I64"),
        (|t| t.push(("body.4.weight", Dtype::F32, vec![1])), "the tensor 'body.4.weight' in a model of this family"),
    ];
    for (change, part) in cases {
        let mut tensors = tiny();
        change(&mut tensors);
        let error = load(&tensors).expect_err(part).to_string();
        assert!(error.contains(part), "expected '{part}' in: {error}");
    }
}
