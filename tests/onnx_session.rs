//! Sessions of small ONNX models: what runs take and yield, on the host and on devices, one by one and many at a time.

#[path = "support/devices.rs"]
mod devices;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wavelane::error::Error;
use wavelane::formats::ElementType;
use wavelane::gpu::Located;
use wavelane::onnx::{Array, Placed, Session};
use wavelane::session::Device;
use wavelane::tensor::Tensor;

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name)
}

fn devices() -> Vec<Device> {
    std::iter::once(Device::Cpu).chain(devices::open().into_iter().map(Device::Gpu)).collect()
}

fn floats(shape: &[usize], values: Vec<f32>) -> Array {
    Array { ty: ElementType::Float, tensor: Tensor::f32(shape, values).unwrap() }
}

fn named(name: &str, array: Array) -> BTreeMap<String, Array> {
    BTreeMap::from([(name.to_owned(), array)])
}

/// `x @ [[0, 1, 2], [3, 4, 5]] + [1, 2, 3]`.
fn linear(x: &[f32]) -> Vec<f32> {
    x.chunks(2).flat_map(|r| (0..3).map(|j| r[0] * j as f32 + r[1] * (j + 3) as f32 + (j + 1) as f32)).collect()
}

#[test]
fn a_run_takes_any_shape_that_the_model_allows() {
    for device in devices() {
        let mut session = Session::load(&model("linear.onnx"), &device).unwrap();
        for rows in [1, 3, 2, 3, 1] {
            let x: Vec<f32> = (0..2 * rows).map(|i| i as f32 - 1.5).collect();
            let found = session.run(&named("x", floats(&[rows, 2], x.clone()))).unwrap();
            assert_eq!(found, [("y".to_owned(), floats(&[rows, 3], linear(&x)))], "{device:?}");
        }
        // Nothing comes out of nothing.
        let found = session.run(&named("x", floats(&[0, 2], Vec::new()))).unwrap();
        assert_eq!(found[0].1.tensor.shape(), [0, 3]);
    }
}

#[test]
fn a_known_shape_makes_nothing_on_the_device() {
    for gpu in devices::open() {
        let mut session = Session::load(&model("linear.onnx"), &Device::Gpu(gpu.clone())).unwrap();
        let mut run = |x: f32| session.run(&named("x", floats(&[1, 2], vec![x, 1.0]))).unwrap();
        run(0.0);
        let before = gpu.counters();
        assert_eq!(run(2.0)[0].1, floats(&[1, 3], linear(&[2.0, 1.0])));
        let after = gpu.counters();
        assert_eq!((after.buffers, after.bind_groups, after.pipelines), (before.buffers, before.bind_groups, before.pipelines));
        assert_eq!(after.submits, before.submits + 1);
    }
}

#[test]
fn results_stay_on_the_device_for_the_next_model() {
    for device in devices() {
        // Doubles a vector whose sum is not positive, twice: a branch that the host decides.
        let mut session = Session::load(&model("functions.onnx"), &device).unwrap();
        let x = floats(&[3], vec![-1.0, 0.5, -0.25]);
        let mut on_host = named("x", x.clone());
        let mut on_device: BTreeMap<String, Placed> = BTreeMap::from([("x".to_owned(), x.into())]);
        for _ in 0..3 {
            let host = session.run(&on_host).unwrap();
            let left = session.run_on_device(&on_device).unwrap();
            for ((name, array), (other, placed)) in host.iter().zip(&left) {
                assert_eq!(name, other);
                assert_eq!(*array, placed.to_host().unwrap(), "{device:?}");
            }
            if let Device::Gpu(_) = device {
                assert!(matches!(left[0].1.value, Located::Device(_)), "{:?}", left[0].1);
            }
            on_host = named("x", host[0].1.clone());
            on_device = BTreeMap::from([("x".to_owned(), left[0].1.clone())]);
        }
    }
}

#[test]
fn tensors_of_another_device_are_refused() {
    let [first, second] = &devices::open()[..] else {
        eprintln!("skipped: there are not two devices");
        return;
    };
    let run = |gpu: &wavelane::gpu::Gpu, x: Placed| {
        let mut session = Session::load(&model("linear.onnx"), &Device::Gpu(gpu.clone())).unwrap();
        session.run_on_device(&BTreeMap::from([("x".to_owned(), x)]))
    };
    let tensor = Tensor::f32(&[1, 2], vec![1.0, 2.0]).unwrap();
    let there = wavelane::gpu::DeviceTensor::upload(second, &tensor).unwrap();
    let x = Placed { ty: ElementType::Float, value: Located::Device(there) };
    assert_eq!(run(second, x.clone()).unwrap()[0].1.to_host().unwrap(), floats(&[1, 3], linear(&[1.0, 2.0])));
    assert!(matches!(run(first, x), Err(Error::Request(_))));
}

#[test]
fn many_runs_come_in_order_whatever_their_shapes() {
    for device in devices() {
        for (file, width) in [("linear.onnx", 2), ("functions.onnx", 1)] {
            let mut session = Session::load(&model(file), &device).unwrap();
            let input = |i: usize, rows: usize| {
                let values = (0..rows * width).map(|k| (i * 7 + k) as f32 * 0.5 - 3.0).collect();
                let shape = if width == 1 { vec![rows] } else { vec![rows, width] };
                named("x", floats(&shape, values))
            };
            let inputs: Vec<_> = [2, 2, 2, 5, 2, 1, 1, 1].iter().enumerate().map(|(i, rows)| input(i, *rows)).collect();
            let expected: Vec<_> = inputs.iter().map(|x| session.run(x).unwrap()).collect();
            let mut found = Vec::new();
            let done = session.run_all(inputs.iter().cloned().map(Ok), |results| {
                found.push(results);
                Ok(())
            });
            done.unwrap();
            assert_eq!(found, expected, "{file} on {device:?}");
            // The first error ends it, and the session goes on working.
            let broken = inputs.iter().cloned().map(Ok).take(3).chain([Err(Error::Request("no more".into()))]);
            let mut seen = 0;
            let ended = session.run_all(broken, |_| {
                seen += 1;
                Ok(())
            });
            assert!(ended.unwrap_err().to_string().contains("no more"));
            assert!(seen <= 3);
            assert_eq!(session.run(&inputs[0]).unwrap(), expected[0]);
        }
    }
}

#[test]
fn impossible_inputs_are_named() {
    let mut session = Session::load(&model("linear.onnx"), &Device::Cpu).unwrap();
    let mut refused = |inputs: BTreeMap<String, Array>| match session.run(&inputs) {
        Err(Error::Request(what)) => what,
        other => panic!("{other:?}"),
    };
    assert!(refused(BTreeMap::new()).contains("'x' is missing"));
    let both = [named("x", floats(&[1, 2], vec![0.0; 2])), named("q", floats(&[1], vec![0.0]))].into_iter().flatten().collect();
    assert!(refused(both).contains("no input 'q'"));
    assert!(refused(named("x", floats(&[1, 3], vec![0.0; 3]))).contains("float[1, 3]"));
    assert!(refused(named("x", floats(&[2], vec![0.0; 2]))).contains("float[2]"));
    let integers = Array { ty: ElementType::Int64, tensor: Tensor::i64(&[1, 2], vec![0; 2]).unwrap() };
    assert!(refused(named("x", integers)).contains("int64"));
    let mislabelled = Array { ty: ElementType::Float, tensor: Tensor::i64(&[1, 2], vec![0; 2]).unwrap() };
    assert!(refused(named("x", mislabelled)).contains("'x'"));
    assert!(matches!(Session::load(Path::new("/no/such.onnx"), &Device::Cpu), Err(Error::Io { .. })));
}

/// Files that ask for endless loops, terabytes, or parts without number (`scripts/make_format_vectors.py` makes them): an error that names
/// the node, and no panic.
#[test]
fn what_nobody_can_give_is_refused() {
    let mut files = 0;
    for entry in std::fs::read_dir(model("demands")).unwrap() {
        let path = entry.unwrap().path();
        let inputs = named("x", floats(&[1, 1, 2, 3], vec![0.5; 6]));
        let found = Session::load(&path, &Device::Cpu).and_then(|mut session| session.run(&inputs));
        let error = found.expect_err(&path.display().to_string()).to_string();
        assert!(error.contains("demand"), "{}: {error}", path.display());
        files += 1;
    }
    assert!(files >= 11, "{files}");
}
