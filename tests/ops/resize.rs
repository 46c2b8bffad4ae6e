//! Resizing: the taps beside ONNX's reference, the op beside ours.

use serde_json::Value;
use wavelane::ops::Resample;
use wavelane::ops::resample_taps::{Coordinate, Mode, Rounding, Taps, taps};
use wavelane::tensor::{Tensor, Weight};

use crate::harness::{Case, Operand, check, check_with, input};

/// What `scripts/make_resize_vectors.py` crops to, and puts outside.
const CROP: Coordinate = Coordinate::TfCropAndResize { start: 0.2, end: 1.1 };
const OUTSIDE: f32 = 9.5;

fn mode(name: &str, detail: &Value) -> Mode {
    match (name, detail.as_str()) {
        ("linear", _) => Mode::Linear,
        ("cubic", _) => Mode::Cubic { a: detail.as_f64().unwrap() as f32 },
        (_, Some("round_prefer_floor")) => Mode::Nearest(Rounding::PreferFloor),
        (_, Some("round_prefer_ceil")) => Mode::Nearest(Rounding::PreferCeil),
        (_, Some("floor")) => Mode::Nearest(Rounding::Floor),
        (_, Some("ceil")) => Mode::Nearest(Rounding::Ceil),
        other => panic!("{other:?}"),
    }
}

fn coordinate(name: &str) -> Coordinate {
    match name {
        "half_pixel" => Coordinate::HalfPixel,
        "half_pixel_symmetric" => Coordinate::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinate::PytorchHalfPixel,
        "align_corners" => Coordinate::AlignCorners,
        "asymmetric" => Coordinate::Asymmetric,
        "tf_crop_and_resize" => CROP,
        other => panic!("{other}"),
    }
}

/// The operands and the op that resize dimension `axis` of `x` by these taps.
fn resample(x: Operand, axis: usize, taps: &Taps, length: usize) -> (Resample, Vec<Operand>) {
    let n = taps.index.len();
    let index = Weight::from_tensor(Tensor::i64(&[n], taps.index.clone()).unwrap()).unwrap();
    let weight = Weight::from_f32(&[n], &taps.weight).unwrap();
    let op = Resample { axis, taps: taps.count, length, outside: OUTSIDE };
    (op, vec![x, Operand::Weight(index), Operand::Weight(weight)])
}

#[test]
fn taps_are_those_of_the_onnx_reference() {
    let table: Vec<Value> = serde_json::from_str(include_str!("../data/resize.json")).unwrap();
    assert!(table.len() > 400);
    for case in table {
        let (n, expected) = (case[5].as_u64().unwrap() as usize, case[7].as_array().unwrap());
        let x: Vec<f32> = (0..n).map(|i| ((i * 7 + 3) % 11) as f32 / 4.0).collect();
        // A scale is given in single precision.
        let scale = case[6].as_f64().map_or(expected.len() as f64 / n as f64, |s| f64::from(s as f32));
        let flag = |i: usize| case[i] == 1;
        let (mode, coordinate) = (mode(case[0].as_str().unwrap(), &case[1]), coordinate(case[2].as_str().unwrap()));
        let taps = taps(mode, coordinate, flag(3), flag(4), scale, n, expected.len()).unwrap();
        assert_eq!(taps.index.len(), expected.len() * taps.count);
        for (j, expected) in expected.iter().enumerate() {
            let term = |t: usize| taps.weight[t] * usize::try_from(taps.index[t]).map_or(OUTSIDE, |place| x[place]);
            let value: f32 = (j * taps.count..(j + 1) * taps.count).map(term).sum();
            let expected = expected.as_f64().unwrap() as f32;
            assert!((value - expected).abs() < 2e-6 * (1.0 + expected.abs()), "{case}: place {j} is {value}");
        }
    }
}

#[test]
fn taps_of_tensorflows_nearest_and_impossible_scales() {
    let mode = Mode::Nearest(Rounding::Floor);
    let taps_of = |scale| taps(mode, Coordinate::TfHalfPixelForNn, false, false, scale, 4, 8);
    assert_eq!(taps_of(2.0).unwrap().index, [0, 0, 1, 1, 2, 2, 3, 3]);
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(taps_of(scale).is_err(), "{scale}");
    }
    for mode in [Mode::Linear, Mode::Cubic { a: -0.5 }] {
        assert!(taps(mode, Coordinate::HalfPixel, true, false, 1e-12, 4, 8).is_err());
    }
    assert!(taps(mode, Coordinate::HalfPixel, false, false, 2.0, 0, 8).is_err());
}

#[test]
fn resampling_matches_the_reference() {
    let modes = [Mode::Nearest(Rounding::PreferFloor), Mode::Linear, Mode::Cubic { a: -0.75 }];
    let shapes: [&[usize]; 5] = [&[1], &[7], &[3, 5, 9], &[2, 67, 4], &[1, 2, 13, 6, 5]];
    let mut cases = Vec::new();
    for (seed, shape) in shapes.into_iter().enumerate() {
        for axis in [0, shape.len() / 2, shape.len() - 1] {
            for mode in modes {
                for (coordinate, length) in [(Coordinate::HalfPixel, 2 * shape[axis] + 1), (CROP, shape[axis].div_ceil(3))] {
                    let n = shape[axis];
                    let taps = taps(mode, coordinate, true, false, length as f64 / n as f64, n, length).unwrap();
                    let (op, operands) = resample(input(shape, seed as u64), axis, &taps, length);
                    cases.push(Case::new(format!("{mode:?} {coordinate:?} axis {axis} of {shape:?}"), op, operands));
                }
            }
        }
    }
    // Indices that a caller made up are held within x; one tap may have any weight.
    let wild = Taps { count: 1, index: vec![5, -1, 2, 99, -7], weight: vec![1.0, 0.5, 0.0, 1.0, 1.0] };
    let (op, operands) = resample(input(&[2, 4], 9), 1, &wild, 5);
    cases.push(Case::new("wild", op, operands));
    check(&cases);
    check_with(&cases, |c| c.max_grid = 3);
}

#[test]
fn the_nearest_is_an_exact_copy() {
    let hard = vec![f32::MIN_POSITIVE / 3.0, f32::NAN, -0.0, f32::NEG_INFINITY, f32::INFINITY, 1e-45, f32::MAX];
    let x = Tensor::f32(&[7], hard).unwrap();
    let taps = taps(Mode::Nearest(Rounding::Floor), Coordinate::Asymmetric, false, false, 3.0, 7, 21).unwrap();
    let (op, operands) = resample(Operand::Input(x), 0, &taps, 21);
    check(&[Case::new("copy", op, operands)]);
}
