//! Element types beside `ml_dtypes` and the helpers of the onnx package; `scripts/make_format_vectors.py` made the numbers.

use wavelane::formats::element::{ElementType, ScaleRounding};
use wavelane::tensor::Data;

/// Codes with their values; inputs with their codes, a column for each way of rounding.
struct Vectors {
    codes: Vec<u16>,
    values: Vec<f32>,
    inputs: Vec<f32>,
    columns: Vec<Vec<u16>>,
}

fn vectors(ty: ElementType) -> Vectors {
    let path = format!("{}/tests/data/element/{ty}.bin", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut take = |n: usize| rest.split_off(..n).unwrap();
    let count = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
    let codes = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect::<Vec<_>>();
    let floats = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<_>>();
    let n = count(take(4));
    let (known, values) = (codes(take(2 * n)), floats(take(4 * n)));
    let n = count(take(4));
    let inputs = floats(take(4 * n));
    let columns = rest.chunks_exact(2 * n).map(codes).collect();
    Vectors { codes: known, values, inputs, columns }
}

const SMALL: [ElementType; 7] = [
    ElementType::Float8E4M3Fn,
    ElementType::Float8E4M3Fnuz,
    ElementType::Float8E5M2,
    ElementType::Float8E5M2Fnuz,
    ElementType::Float4E2M1,
    ElementType::Float6E2M3,
    ElementType::Float6E3M2,
];
const HALVES: [ElementType; 2] = [ElementType::Float16, ElementType::Bfloat16];

/// The bytes of codes as a file has them.
fn packed(ty: ElementType, codes: &[u16]) -> Vec<u8> {
    match ty.bits() {
        16 => codes.iter().flat_map(|code| code.to_le_bytes()).collect(),
        bits => {
            let mut bytes = vec![0u8; (codes.len() * bits).div_ceil(8)];
            for (bit, code) in (0..codes.len() * bits).map(|bit| (bit, codes[bit / bits] >> (bit % bits) & 1)) {
                bytes[bit / 8] |= (code as u8) << (bit % 8);
            }
            bytes
        }
    }
}

fn decoded(ty: ElementType, codes: &[u16]) -> Vec<f32> {
    match ty.decode(&packed(ty, codes), codes.len()).unwrap() {
        Data::F32(values) => values,
        other => panic!("{other:?}"),
    }
}

/// Equal bits; any NaN is as good as another.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

#[test]
fn every_code_has_the_value_of_ml_dtypes() {
    for ty in SMALL.into_iter().chain(HALVES).chain([ElementType::Float8E8M0]) {
        let known = vectors(ty);
        for ((code, value), expected) in known.codes.iter().zip(decoded(ty, &known.codes)).zip(known.values) {
            assert!(same(value, expected), "{ty}: code {code:#x} is {value}, not {expected}");
        }
    }
}

#[test]
fn floats_round_as_ml_dtypes_rounds_them_between_all_neighbours() {
    for ty in SMALL.into_iter().chain(HALVES) {
        let known = vectors(ty);
        for (saturate, column) in [true, false].into_iter().zip(&known.columns) {
            for ((x, code), expected) in known.inputs.iter().zip(column).zip(decoded(ty, column)) {
                let value = ty.round(*x, saturate);
                assert!(same(value, expected), "{ty}, saturate {saturate}: {x} becomes {value}, not {expected} ({code:#x})");
            }
        }
    }
}

#[test]
fn encoding_gives_the_codes_that_saturating_gives() {
    for ty in SMALL.into_iter().chain(HALVES) {
        let known = vectors(ty);
        // The sign and the payload of NaN are free.
        let (inputs, codes): (Vec<f32>, Vec<u16>) =
            known.inputs.iter().zip(&known.columns[0]).filter(|(x, _)| !x.is_nan()).map(|(x, code)| (*x, *code)).unzip();
        assert_eq!(ty.encode(&Data::F32(inputs)).unwrap(), packed(ty, &codes), "{ty}");
    }
}

#[test]
fn scales_round_to_powers_of_two() {
    let ty = ElementType::Float8E8M0;
    let known = vectors(ty);
    for (rounding, column) in [ScaleRounding::Nearest, ScaleRounding::Up, ScaleRounding::Down].into_iter().zip(&known.columns) {
        for (x, expected) in known.inputs.iter().zip(decoded(ty, column)) {
            for saturate in [false, true] {
                let value = ElementType::round_scale(*x, rounding, saturate);
                assert!(same(value, expected), "{rounding:?}: {x} becomes {value}, not {expected}");
            }
        }
    }
    let (least, most) = (2f32.powi(-127), 2f32.powi(127));
    let edges = [(0.0, least), (-0.0, least), (f32::INFINITY, most), (f32::MAX, most), (1e-45, least)];
    for (x, expected) in edges {
        assert_eq!(ElementType::round_scale(x, ScaleRounding::Up, true), expected, "{x}");
        assert!(ElementType::round_scale(x, ScaleRounding::Nearest, false).is_nan(), "{x}");
    }
    for x in [f32::NAN, -1.0, f32::NEG_INFINITY] {
        assert!(ElementType::round_scale(x, ScaleRounding::Up, true).is_nan(), "{x}");
    }
    assert_eq!(ty.round(3.0, true), 4.0);
}

#[test]
fn integers_keep_their_range_and_wrap_beyond_it() {
    let values = Data::I64(vec![-129, -8, -3, -2, -1, 0, 1, 2, 3, 7, 15, 200, 1 << 40, i64::MIN, i64::MAX]);
    for ty in ElementType::ALL.into_iter().filter(|ty| ty.is_integer()) {
        let Data::I64(inputs) = &values else { unreachable!() };
        let (least, most) = ty.integer_range().unwrap();
        let wrap = |x: i64| match ty {
            ElementType::Bool => i64::from(x != 0),
            _ => ((i128::from(x) - least).rem_euclid(most - least + 1) + least) as i64,
        };
        let bytes = ty.encode(&values).unwrap();
        assert_eq!(Some(bytes.len()), ty.bytes(inputs.len()));
        let expected = inputs.iter().map(|x| wrap(*x)).collect();
        assert_eq!(ty.decode(&bytes, inputs.len()).unwrap(), Data::I64(expected), "{ty}");
    }
    assert_eq!(ElementType::Int4.encode(&Data::I64(vec![1, -2, 3])).unwrap(), [0xe1, 0x03]);
    assert_eq!(ElementType::Int2.encode(&Data::I64(vec![1, -2, -1, 0, 1])).unwrap(), [0b0011_1001, 1]);
    assert_eq!(ElementType::Uint64.decode(&[0xff; 8], 1).unwrap(), Data::I64(vec![-1]));
}

#[test]
fn wide_floats_pass_and_other_types_are_refused() {
    let values = Data::F32(vec![1.5, -0.0, f32::INFINITY, 1e-45]);
    for ty in [ElementType::Float, ElementType::Double] {
        assert_eq!(ty.decode(&ty.encode(&values).unwrap(), 4).unwrap(), values);
        assert_eq!(ty.round(1.1, true), 1.1);
    }
    assert_eq!(ElementType::Float16.encode(&Data::F16(vec![half::f16::ONE])).unwrap(), [0, 0x3c]);
    assert_eq!(ElementType::Int8.encode(&Data::U32(vec![255])).unwrap(), [255]);
    assert!(ElementType::Int8.encode(&values).is_err());
    assert!(ElementType::Float.encode(&Data::I64(vec![1])).is_err());
    for ty in [ElementType::String, ElementType::Complex64, ElementType::Complex128] {
        assert!(ty.decode(&[], 0).is_err() && ty.encode(&values).is_err());
        assert!(!ty.is_float() && !ty.is_integer());
    }
}

#[test]
fn wrong_lengths_are_refused() {
    for ty in ElementType::ALL.into_iter().filter(|ty| ty.is_float() || ty.is_integer()) {
        let need = ty.bytes(5).unwrap();
        assert!(ty.decode(&vec![0; need], 5).is_ok());
        assert!(ty.decode(&vec![0; need - 1], 5).is_err() && ty.decode(&vec![0; need + 1], 5).is_err());
        assert!(ty.decode(&[0; 8], usize::MAX).is_err());
    }
}

#[test]
fn numbers_and_names_are_those_of_onnx() {
    assert!((1..=28).all(|number| ElementType::from_onnx(number).unwrap().onnx() == number));
    assert!([i32::MIN, -1, 0, 29, i32::MAX].into_iter().all(|number| ElementType::from_onnx(number).is_none()));
    assert_eq!(ElementType::from_onnx(17).unwrap().to_string(), "float8e4m3fn");
    assert_eq!(ElementType::Uint64.integer_range(), Some((0, u64::MAX.into())));
    assert_eq!(ElementType::Int2.integer_range(), Some((-2, 1)));
}
