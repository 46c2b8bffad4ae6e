//! Our references of pooling and sampling beside ONNX's, by the table of `scripts/make_spatial_vectors.py`.

use serde_json::Value;
use wavelane::ops::grid_sample::{GridMode, GridPadding};
use wavelane::ops::pool::{IndexOrder, PoolAxis, PoolKind};
use wavelane::ops::roi_align::RoiMode;
use wavelane::ops::{GridSample, Input, Op, Pool, RoiAlign};
use wavelane::tensor::Tensor;

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().map_or(Vec::new(), |list| list.iter().map(|n| n.as_u64().unwrap() as usize).collect())
}

/// The tensor of `[shape, values]`; integers have no decimal point.
fn tensor(value: &Value) -> Tensor {
    let (shape, values) = (numbers(&value[0]), value[1].as_array().unwrap());
    match values.iter().map(Value::as_i64).collect::<Option<Vec<i64>>>() {
        Some(values) => Tensor::i64(&shape, values).unwrap(),
        None => Tensor::f32(&shape, values.iter().map(|v| v.as_f64().unwrap() as f32).collect()).unwrap(),
    }
}

fn pool(case: &Value) -> Op {
    let attributes = &case["attributes"];
    let flag = |name: &str| attributes[name] == 1;
    let kind = match case["op"].as_str().unwrap() {
        "AveragePool" => PoolKind::Average { count_include_pad: flag("count_include_pad") },
        "LpPool" => PoolKind::Lp { p: attributes["p"].as_u64().unwrap() as u32 },
        _ => {
            let order = if flag("storage_order") { IndexOrder::ColumnMajor } else { IndexOrder::RowMajor };
            PoolKind::Max { indices: (case["outputs"].as_array().unwrap().len() == 2).then_some(order) }
        }
    };
    let windows = numbers(&case["outputs"][0][0]).split_off(2);
    let [kernel, strides, pads, dilations] =
        ["kernel_shape", "strides", "pads", "dilations"].map(|name| numbers(&attributes[name]));
    let axis = |d: usize| PoolAxis {
        windows: windows[d],
        kernel: kernel[d],
        stride: strides[d],
        dilation: dilations.get(d).copied().unwrap_or(1),
        begin: pads.get(d).copied().unwrap_or(0),
        end: pads.get(d + windows.len()).copied().unwrap_or(0),
    };
    Pool { kind, axes: (0..windows.len()).map(axis).collect() }.into()
}

fn grid_sample(attributes: &Value) -> Op {
    let mode = match attributes["mode"].as_str().unwrap() {
        "nearest" => GridMode::Nearest,
        "linear" => GridMode::Linear,
        _ => GridMode::Cubic,
    };
    let padding = match attributes["padding_mode"].as_str().unwrap() {
        "zeros" => GridPadding::Zeros,
        "border" => GridPadding::Border,
        _ => GridPadding::Reflection,
    };
    GridSample { mode, padding, align_corners: attributes["align_corners"] == 1 }.into()
}

fn roi_align(attributes: &Value) -> Op {
    let number = |name: &str| attributes[name].as_u64().unwrap() as usize;
    RoiAlign {
        mode: if attributes["mode"] == "avg" { RoiMode::Average } else { RoiMode::Max },
        output_height: number("output_height"),
        output_width: number("output_width"),
        sampling_ratio: number("sampling_ratio"),
        spatial_scale: attributes["spatial_scale"].as_f64().unwrap() as f32,
        half_pixel: attributes["coordinate_transformation_mode"] == "half_pixel",
    }
    .into()
}

#[test]
fn references_agree_with_onnx() {
    let table: Vec<Value> = serde_json::from_str(include_str!("../data/spatial.json")).unwrap();
    assert!(table.len() > 70);
    let mut failures = Vec::new();
    for case in table {
        let op = match case["op"].as_str().unwrap() {
            "GridSample" => grid_sample(&case["attributes"]),
            "RoiAlign" => roi_align(&case["attributes"]),
            _ => pool(&case),
        };
        let inputs = case["inputs"].as_array().unwrap().iter().map(|t| Input::Tensor(tensor(t).into())).collect();
        let outputs = op.rule().reference(inputs).unwrap();
        let expected: Vec<Tensor> = case["outputs"].as_array().unwrap().iter().map(tensor).collect();
        assert_eq!(outputs.len(), expected.len());
        for (ours, theirs) in outputs.iter().zip(&expected) {
            assert_eq!(ours.shape(), theirs.shape(), "{op}");
            let worst = ours.to_f32().iter().zip(theirs.to_f32()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            if worst > 1e-5 {
                failures.push(format!("{op}: {worst} off"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
