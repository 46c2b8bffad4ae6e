//! Quantised models run in integers: results of products and convolutions between `QuantizeLinear` and `DequantizeLinear`, and what
//! becomes of the pattern.

#[path = "support/devices.rs"]
mod devices;
#[path = "onnx_format/message.rs"]
#[allow(dead_code)]
mod message;
#[path = "support/random.rs"]
mod random;

use std::collections::BTreeMap;

use message::{Message, model, node, tensor, value};
use random::Numbers;
use wavelane::formats::ElementType;
use wavelane::formats::onnx::OnnxFile;
use wavelane::onnx::{Array, Session};
use wavelane::session::Device;
use wavelane::tensor::{Data, Tensor};

const FLOAT: i64 = 1;
const UINT8: i64 = 2;
const INT8: i64 = 3;

fn constant(name: &str, ty: i64, dims: &[i64], raw: &[u8]) -> Message {
    tensor(name, ty, dims).bytes(9, raw)
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> Message {
    constant(name, FLOAT, dims, &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

fn int_attribute(name: &str, value: i64) -> Message {
    Message::new().text(1, name).int(3, value).int(20, 2)
}

fn ints_attribute(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::new().text(1, name), |m, n| m.int(8, *n)).int(20, 7)
}

/// A session of a graph from `x` to `y`.
fn session(nodes: &[Message], constants: &[Message], dims: &[i64], device: &Device) -> Session {
    let graph = Message::new().messages(1, nodes).text(2, "g").messages(5, constants);
    let graph = graph.message(11, &value("x", dims)).message(12, &Message::new().text(1, "y"));
    let file = OnnxFile::from_bytes(model(&graph).0, None).unwrap();
    Session::new(file.model, device).unwrap()
}

fn all_devices() -> Vec<Device> {
    std::iter::once(Device::Cpu).chain(devices::open().into_iter().map(Device::Gpu)).collect()
}

fn input(shape: &[usize], seed: u64) -> BTreeMap<String, Array> {
    let values = Numbers::new(seed).units(shape.iter().product()).iter().map(|x| 2.0 * x).collect();
    BTreeMap::from([("x".to_owned(), Array { ty: ElementType::Float, tensor: Tensor::f32(shape, values).unwrap() })])
}

fn bytes(n: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    (0..n).map(|_| numbers.word() as u8).collect()
}

/// `x` in units of `scale`, as an integer of a type that begins at `least`.
fn quantised(x: f64, scale: f32, zero: i64, least: i64) -> i64 {
    // One division in f32, as the operator is defined.
    ((x as f32 / scale).round_ties_even() as i64 + zero).clamp(least, least + 255)
}

/// The names of the ops of the only stage, in order.
fn ops(session: &mut Session, inputs: &BTreeMap<String, Array>) -> Vec<&'static str> {
    let stages = session.describe(inputs).unwrap();
    let [stage] = &stages[..] else { panic!("{} stages", stages.len()) };
    stage.graph.as_ref().unwrap().nodes.iter().map(|n| n.op.name()).collect()
}

/// The integers that a run yields as `y`.
fn integers(session: &mut Session, inputs: &BTreeMap<String, Array>) -> Vec<i64> {
    let results = session.run(inputs).unwrap();
    match results[0].1.tensor.data() {
        Data::I64(v) => v.clone(),
        other => panic!("{other:?}"),
    }
}

/// All sums here are exact, and scales are multiplied in f32 once or twice: results may differ by a step where a quotient lies
/// within these roundings of the middle between two, which is to say almost never.
fn assert_near(found: &[i64], expected: &[i64], what: &str) {
    assert_eq!(found.len(), expected.len());
    let apart: Vec<i64> = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).collect();
    assert!(apart.iter().all(|d| *d <= 1), "{what}: {found:?} against {expected:?}");
    assert!(apart.iter().filter(|d| **d > 0).count() * 200 <= found.len(), "{what}: {apart:?}");
}

#[test]
fn dequantised_matrices_are_multiplied_as_bytes() {
    let (m, k, n, outputs) = (9, 37, 21, 6);
    // Signed weights with a scale for each column, then unsigned ones that lie transposed, around a zero point of 131.
    let (w1, w2) = (bytes(k * n, 1), bytes(outputs * n, 2));
    let scales: Vec<f32> = Numbers::new(3).units(n).iter().map(|x| 0.01 + 0.005 * x).collect();
    let bias: Vec<f32> = Numbers::new(4).units(n);
    let (sx, sh, s2, sy) = (0.017f32, 0.05f32, 0.009f32, 0.11f32);
    let (zx, zh, z2, zy) = (117, 3, 131, 128);
    let constants = [
        constant("w1", INT8, &[k as i64, n as i64], &w1),
        constant("w2", UINT8, &[outputs as i64, n as i64], &w2),
        floats("scales", &[n as i64], &scales),
        floats("bias", &[n as i64], &bias),
        floats("sx", &[], &[sx]),
        floats("sh", &[], &[sh]),
        floats("s2", &[1], &[s2]),
        floats("sy", &[], &[sy]),
        constant("zx", UINT8, &[], &[zx as u8]),
        constant("zh", INT8, &[], &[zh as u8]),
        constant("z2", UINT8, &[1], &[z2 as u8]),
        constant("zy", UINT8, &[], &[zy as u8]),
    ];
    let transposed = int_attribute("transB", 1);
    let nodes = [
        node("QuantizeLinear", &["x", "sx", "zx"], &["xq"]),
        node("DequantizeLinear", &["xq", "sx", "zx"], &["xd"]),
        node("DequantizeLinear", &["w1", "scales"], &["w1d"]),
        node("MatMul", &["xd", "w1d"], &["p"]),
        node("Add", &["p", "bias"], &["q"]),
        node("Relu", &["q"], &["r"]),
        node("QuantizeLinear", &["r", "sh", "zh"], &["hq"]),
        node("DequantizeLinear", &["hq", "sh", "zh"], &["hd"]),
        node("DequantizeLinear", &["w2", "s2", "z2"], &["w2d"]),
        node("Gemm", &["hd", "w2d"], &["g"]).message(5, &transposed),
        node("QuantizeLinear", &["g", "sy", "zy"], &["y"]),
    ];
    let inputs = input(&[m, k], 5);
    let x = inputs["x"].tensor.to_f32();
    let mut expected = Vec::new();
    for row in x.chunks(k) {
        let x: Vec<i64> = row.iter().map(|x| quantised((*x).into(), sx, zx, 0) - zx).collect();
        let hidden = |j: usize| {
            let sum: i64 = (0..k).map(|i| x[i] * i64::from(w1[i * n + j] as i8)).sum();
            let value = sum as f32 * (sx * scales[j]) + bias[j];
            quantised(value.max(0.0).into(), sh, zh, -128) - zh
        };
        let h: Vec<i64> = (0..n).map(hidden).collect();
        for w in w2.chunks(n) {
            let sum: i64 = h.iter().zip(w).map(|(h, w)| h * (i64::from(*w) - z2)).sum();
            expected.push(quantised((sum as f32 * (sh * s2)).into(), sy, zy, 0));
        }
    }
    for device in all_devices() {
        let mut session = session(&nodes, &constants, &[m as i64, k as i64], &device);
        assert_near(&integers(&mut session, &inputs), &expected, &format!("{device:?}"));
        // The weights of the second product have a zero point that no shift of bytes takes away: sums of rows stand for it.
        let found = ops(&mut session, &inputs);
        assert_eq!(found, ["PackBytes", "ByteMatMul", "PackBytes", "ByteMatMul", "ByteMatMul"]);
    }
}

/// What a convolution of `c` channels makes of one image, in integers: `[filters, outputs]`.
fn convolved(x: &[i64], size: [usize; 2], filters: &[i64], [c, kernel, stride, pad]: [usize; 4]) -> Vec<i64> {
    let side = |n: usize| (n + 2 * pad - kernel) / stride + 1;
    let at = |channel: usize, y: usize, x_: usize| match (y.checked_sub(pad), x_.checked_sub(pad)) {
        (Some(y), Some(x_)) if y < size[0] && x_ < size[1] => x[(channel * size[0] + y) * size[1] + x_],
        _ => 0,
    };
    let mut out = Vec::new();
    for w in filters.chunks(c * kernel * kernel) {
        for (oy, ox) in (0..side(size[0])).flat_map(|y| (0..side(size[1])).map(move |x| (y, x))) {
            let taps = (0..c).flat_map(|i| (0..kernel).flat_map(move |ky| (0..kernel).map(move |kx| (i, ky, kx))));
            out.push(taps.zip(w).map(|((i, ky, kx), w)| w * at(i, oy * stride + ky, ox * stride + kx)).sum());
        }
    }
    out
}

#[test]
fn dequantised_convolutions_are_products_of_bytes() {
    // Images of 11 channels: 3 x 3 taps with padding and stride, then one tap.
    let (channels, filters, size) = (11, 9, [6, 5]);
    let (w1, w2) = (bytes(filters * channels * 9, 1), bytes(7 * filters, 2));
    let scales: Vec<f32> = Numbers::new(3).units(filters).iter().map(|x| 0.01 + 0.005 * x).collect();
    let bias: Vec<f32> = Numbers::new(4).units(filters);
    let (sx, sh, s2, sy) = (0.02f32, 0.12f32, 0.013f32, 0.7f32);
    let (zx, zh, zy) = (77, -5, 120);
    let many = filters as i64;
    let constants = [
        constant("w1", INT8, &[many, channels as i64, 3, 3], &w1),
        constant("w2", UINT8, &[7, many, 1, 1], &w2),
        floats("scales", &[many], &scales),
        floats("bias", &[many], &bias),
        floats("sx", &[], &[sx]),
        floats("sh", &[], &[sh]),
        floats("s2", &[], &[s2]),
        floats("sy", &[], &[sy]),
        constant("zx", UINT8, &[], &[zx as u8]),
        constant("zh", INT8, &[], &[zh as u8]),
        constant("z2", UINT8, &[], &[128]),
        constant("zy", UINT8, &[], &[zy as u8]),
    ];
    let axis = int_attribute("axis", 0);
    let window = [ints_attribute("strides", &[2, 2]), ints_attribute("pads", &[1, 1, 1, 1])];
    let nodes = [
        node("QuantizeLinear", &["x", "sx", "zx"], &["xq"]),
        node("DequantizeLinear", &["xq", "sx", "zx"], &["xd"]),
        node("DequantizeLinear", &["w1", "scales"], &["w1d"]).message(5, &axis),
        node("Conv", &["xd", "w1d", "bias"], &["p"]).messages(5, &window),
        node("Relu", &["p"], &["r"]),
        node("QuantizeLinear", &["r", "sh", "zh"], &["hq"]),
        node("DequantizeLinear", &["hq", "sh", "zh"], &["hd"]),
        node("DequantizeLinear", &["w2", "s2", "z2"], &["w2d"]),
        node("Conv", &["hd", "w2d"], &["g"]),
        node("QuantizeLinear", &["g", "sy", "zy"], &["y"]),
    ];
    let image = channels * size[0] * size[1];
    for batch in [1, 2] {
        let shape = [batch, channels, size[0], size[1]];
        let inputs = input(&shape, 5);
        let mut expected = Vec::new();
        for x in inputs["x"].tensor.to_f32().chunks(image) {
            let x: Vec<i64> = x.iter().map(|x| quantised((*x).into(), sx, zx, 0) - zx).collect();
            let signed: Vec<i64> = w1.iter().map(|w| i64::from(*w as i8)).collect();
            let sums = convolved(&x, size, &signed, [channels, 3, 2, 1]);
            let places = sums.len() / filters;
            let hidden = |(i, sum): (usize, &i64)| {
                let value = *sum as f32 * (sx * scales[i / places]) + bias[i / places];
                quantised(value.max(0.0).into(), sh, zh, -128) - zh
            };
            let h: Vec<i64> = sums.iter().enumerate().map(hidden).collect();
            let unsigned: Vec<i64> = w2.iter().map(|w| i64::from(*w) - 128).collect();
            let sums = convolved(&h, [3, 3], &unsigned, [filters, 1, 1, 0]);
            expected.extend(sums.iter().map(|sum| quantised((*sum as f32 * (sh * s2)).into(), sy, zy, 0)));
        }
        for device in all_devices() {
            let mut session = session(&nodes, &constants, &shape.map(|n| n as i64), &device);
            assert_near(&integers(&mut session, &inputs), &expected, &format!("{device:?}"));
            let found = ops(&mut session, &inputs).into_iter().filter(|op| *op != "Reshape").collect::<Vec<_>>();
            assert_eq!(found, ["PackBytes", "ByteWindows", "ByteMatMul", "PackBytes", "ByteMatMul"]);
        }
    }
}

#[test]
fn convolutions_of_groups_and_of_few_channels_stay_floats() {
    let constants = [
        floats("scale", &[], &[0.02]),
        constant("zero", UINT8, &[], &[77]),
        constant("each", INT8, &[8, 1, 1, 1], &bytes(8, 1)),
        constant("few", INT8, &[2, 8, 1, 1], &bytes(16, 2)),
        constant("last", INT8, &[3, 2, 1, 1], &bytes(6, 3)),
    ];
    let weight = |name: &str, to: &str| node("DequantizeLinear", &[name, "scale"], &[to]);
    let again = |from: &str, to: &str| {
        let integers = format!("{to}q");
        let quantised = node("QuantizeLinear", &[from, "scale", "zero"], &[&integers]);
        [quantised, node("DequantizeLinear", &[&integers, "scale", "zero"], &[to])]
    };
    let nodes = [
        &[weight("each", "w1"), weight("few", "w2"), weight("last", "w3")][..],
        &again("x", "a"),
        &[node("Conv", &["a", "w1"], &["b"]).message(5, &int_attribute("group", 8))],
        &again("b", "c"),
        &[node("Conv", &["c", "w2"], &["d"])],
        &again("d", "e"),
        &[node("Conv", &["e", "w3"], &["f"]), node("QuantizeLinear", &["f", "scale", "zero"], &["y"])],
    ]
    .concat();
    let inputs = input(&[1, 8, 3, 3], 6);
    let mut expected = None;
    for device in all_devices() {
        let mut session = session(&nodes, &constants, &[1, 8, 3, 3], &device);
        let found = ops(&mut session, &inputs);
        let count = |name: &str| found.iter().filter(|op| **op == name).count();
        assert_eq!((count("Conv"), count("ByteMatMul")), (2, 1), "{found:?}");
        let found = integers(&mut session, &inputs);
        assert_near(&found, expected.get_or_insert(found.clone()), &format!("{device:?}"));
    }
}

#[test]
fn values_quantised_as_they_come_are_multiplied_as_bytes() {
    let (m, k, n) = (5, 33, 10);
    let w = bytes(k * n, 1);
    let constants = [constant("w", INT8, &[k as i64, n as i64], &w), constant("zw", INT8, &[], &[3])];
    let nodes = [
        node("DynamicQuantizeLinear", &["x"], &["q", "scale", "zero"]),
        node("MatMulInteger", &["q", "w", "zero", "zw"], &["y"]),
    ];
    let inputs = input(&[m, k], 5);
    let x = inputs["x"].tensor.to_f32();
    let (least, most) = x.iter().fold((0.0f32, 0.0f32), |(a, b), x| (a.min(*x), b.max(*x)));
    let scale = (most - least) / 255.0;
    let zero = quantised((-least).into(), scale, 0, 0);
    let mut expected = Vec::new();
    for row in x.chunks(k) {
        let x: Vec<i64> = row.iter().map(|x| quantised((*x).into(), scale, zero, 0) - zero).collect();
        expected.extend((0..n).map(|j| (0..k).map(|i| x[i] * (i64::from(w[i * n + j] as i8) - 3)).sum::<i64>()));
    }
    for device in all_devices() {
        let mut session = session(&nodes, &constants, &[m as i64, k as i64], &device);
        assert_eq!(integers(&mut session, &inputs), expected, "{device:?}");
        let found = ops(&mut session, &inputs);
        assert_eq!(found.iter().filter(|op| **op == "PackBytes").count(), 1, "{found:?}");
        assert_eq!(found.last(), Some(&"ByteMatMul"), "{found:?}");
    }
}
