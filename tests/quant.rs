//! Block formats against `gguf.quants`, and the packed planes against the rules that the WGSL providers follow.

use half::f16;
use wavelane::dtype::DType;
use wavelane::error::Error;
use wavelane::quant::{self, Format, GROUP};

/// File blocks and the weights that `scripts/make_quant_vectors.py` got for them.
fn vectors(dtype: DType) -> (Vec<u8>, Vec<f32>) {
    let path = format!("{}/tests/data/quant/{dtype}.bin", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = std::fs::read(path).unwrap();
    let (weights, block) = dtype.block();
    let blocks = bytes.len() / (block + 4 * weights);
    let expected = bytes.split_off(blocks * block);
    (bytes, expected.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_format_dequantizes_bit_exactly_as_gguf_does() {
    for dtype in DType::WEIGHTS {
        let (bytes, expected) = vectors(dtype);
        assert!(expected.len() >= 256, "{dtype}");
        let mut out = vec![f32::NAN; expected.len()];
        quant::dequantize(dtype, &bytes, &mut out).unwrap();
        assert_eq!(bits(&out), bits(&expected), "{dtype}");
    }
}

#[test]
fn every_format_unpacks_from_its_planes_bit_exactly() {
    for dtype in DType::WEIGHTS {
        let (bytes, expected) = vectors(dtype);
        // One unit a row: every row starts on a whole unit.
        let format = Format::of(dtype).unwrap();
        let columns = format.unit;
        let rows = expected.len() / columns;
        let planes = pack(dtype, &bytes, rows, columns);
        let groups = format.groups(columns);
        let found: Vec<f32> = (0..rows * groups).flat_map(|index| planes.group(index)).collect();
        assert_eq!(bits(&found), bits(&expected), "{dtype}");
    }
}

#[test]
fn dense_rows_of_odd_width_are_padded_with_zeros() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let (bytes, expected) = vectors(dtype);
        for columns in [1, 31, 32, 33, 85] {
            let rows = 3;
            let bytes = &bytes[..dtype.row_bytes(rows * columns).unwrap()];
            let planes = pack(dtype, bytes, rows, columns);
            let groups = Format::of(dtype).unwrap().groups(columns);
            assert_eq!(groups, columns.div_ceil(GROUP));
            for row in 0..rows {
                let found: Vec<f32> = (0..groups).flat_map(|group| planes.group(row * groups + group)).collect();
                let (values, padding) = found.split_at(columns);
                assert_eq!(bits(values), bits(&expected[row * columns..][..columns]), "{dtype} x {columns}");
                assert!(padding.iter().all(|value| value.to_bits() == 0), "{dtype} x {columns}");
            }
        }
    }
}

#[test]
fn planes_are_whole_words_and_the_last_half_word_is_zero() {
    let (bytes, _) = vectors(DType::Q8_0);
    let format = Format::of(DType::Q8_0).unwrap();
    assert_eq!(format.plane_bytes(3, 32), [96, 8, 0]);
    let planes = pack(DType::Q8_0, &bytes[..3 * 34], 3, 32);
    assert_eq!(planes.scales[6..], [0, 0]);
    // Sizes that no memory holds saturate instead of wrapping around.
    assert_eq!(format.plane_bytes(usize::MAX, usize::MAX), [usize::MAX, usize::MAX, 0]);
}

#[test]
fn wrong_sizes_and_types_are_refused() {
    let shape = |result: Result<(), Error>| matches!(result, Err(Error::Shape { .. }));
    let mut out = [0.0; 64];
    assert!(shape(quant::dequantize(DType::Q4_0, &[0; 35], &mut out)));
    assert!(shape(quant::dequantize(DType::Q4_0, &[0; 18], &mut out[..31])));
    assert!(shape(quant::dequantize(DType::Q4_K, &[0; 144], &mut out)));
    assert!(matches!(quant::dequantize(DType::I32, &[0; 4], &mut out[..1]), Err(Error::Unsupported(_))));
    assert!(Format::of(DType::U32).is_none());

    let pack = |bytes: &[u8], rows, columns, quants: usize, scales: usize| {
        quant::pack_rows(DType::Q4_0, bytes, rows, columns, [&mut vec![0; quants], &mut vec![0; scales], &mut []])
    };
    assert!(pack(&[0; 36], 2, 32, 32, 4).is_ok());
    assert!(pack(&[], 0, 32, 0, 0).is_ok());
    assert!(shape(pack(&[0; 36], 2, 31, 32, 4)), "a row of a part of a block");
    assert!(shape(pack(&[0; 35], 2, 32, 32, 4)), "bytes missing");
    assert!(shape(pack(&[0; 36], 2, 32, 31, 4)), "quants plane too small");
    assert!(shape(pack(&[0; 36], 2, 32, 32, 8)), "scales plane too large");
    assert!(shape(pack(&[0; 36], usize::MAX, 32, 32, 4)), "absurd row count");
}

/// A packed matrix, read back one group at a time by the rules of `shaders/load/<dtype>.wgsl`.
struct Packed {
    dtype: DType,
    quants: Vec<u8>,
    scales: Vec<u8>,
    high: Vec<u8>,
}

fn pack(dtype: DType, bytes: &[u8], rows: usize, columns: usize) -> Packed {
    // 0xAA: what packing leaves unwritten shows up.
    let [mut quants, mut scales, mut high] = Format::of(dtype).unwrap().plane_bytes(rows, columns).map(|size| vec![0xAA; size]);
    quant::pack_rows(dtype, bytes, rows, columns, [&mut quants, &mut scales, &mut high]).unwrap();
    Packed { dtype, quants, scales, high }
}

fn word(plane: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(plane[4 * at..][..4].try_into().unwrap())
}

/// One half of `unpack2x16float`.
fn half_at(word: u32, index: usize) -> f32 {
    f16::from_bits((word >> (16 * (index & 1))) as u16).to_f32()
}

impl Packed {
    fn group(&self, index: usize) -> [f32; GROUP] {
        let mut out = [0.0; GROUP];
        for (i, quad) in out.chunks_exact_mut(4).enumerate() {
            quad.copy_from_slice(&self.quad(index, i));
        }
        out
    }

    fn quad(&self, index: usize, i: usize) -> [f32; 4] {
        let quants = |words: usize, at: usize| word(&self.quants, words * index + at);
        let quad_u8 = || quants(8, i).to_le_bytes();
        let quad_u4 = || ((quants(4, i >> 1) >> (4 * (i & 1))) & 0x0f0f_0f0f).to_le_bytes();
        let quad_u2 = || ((quants(2, i >> 2) >> (2 * (i & 3))) & 0x0303_0303).to_le_bytes();
        let high_u1 = || ((word(&self.high, index) >> i) & 0x0101_0101).to_le_bytes();
        let high_u2 = || ((word(&self.high, 2 * index + (i >> 2)) >> (2 * (i & 3))) & 0x0303_0303).to_le_bytes();
        let or = |low: [u8; 4], high: [u8; 4], shift: u32| -> [u8; 4] { std::array::from_fn(|j| low[j] | high[j] << shift) };

        // One f16 per group; f16 scale and offset per group; five words per super-block.
        let scale = || half_at(word(&self.scales, index >> 1), index);
        let scale_offset = || [0, 1].map(|half| half_at(word(&self.scales, index), half));
        let base = 5 * (index >> 3);
        let d = || [0, 1].map(|half| half_at(word(&self.scales, base), half));
        let byte = |at: usize| (word(&self.scales, base + 1 + (at >> 2)) >> (8 * (at & 3))) as u8;
        let pair = || [byte(2 * (index & 7)), byte(2 * (index & 7) + 1)];
        let sub = || byte(2 * (index & 7) + (i >> 2));

        match self.dtype {
            DType::F32 => std::array::from_fn(|j| f32::from_bits(quants(32, 4 * i + j))),
            DType::F16 => std::array::from_fn(|j| half_at(quants(16, 2 * i + j / 2), j)),
            DType::BF16 => std::array::from_fn(|j| f32::from_bits(quants(16, 2 * i + j / 2) >> (16 * (j & 1)) << 16)),
            DType::Q4_0 => quad_u4().map(|q| scale() * (f32::from(q) - 8.0)),
            DType::IQ4_NL => quad_u4().map(|q| scale() * f32::from(quant::iq4_nl::CODEBOOK[usize::from(q)])),
            DType::Q4_1 => quad_u4().map(|q| scale_offset()[0] * f32::from(q) + scale_offset()[1]),
            DType::Q5_0 => or(quad_u4(), high_u1(), 4).map(|q| scale() * (f32::from(q) - 16.0)),
            DType::Q5_1 => or(quad_u4(), high_u1(), 4).map(|q| scale_offset()[0] * f32::from(q) + scale_offset()[1]),
            DType::Q8_0 => quad_u8().map(|q| scale() * f32::from(q as i8)),
            DType::Q2_K => {
                let (scale, min) = (d()[0] * f32::from(sub() & 15), d()[1] * f32::from(sub() >> 4));
                quad_u2().map(|q| scale * f32::from(q) - min)
            }
            DType::Q3_K => {
                let scale = d()[0] * f32::from(sub() as i8);
                or(quad_u2(), high_u1(), 2).map(|q| scale * (f32::from(q) - 4.0))
            }
            DType::Q4_K | DType::Q5_K => {
                let [scale, min] = pair().map(f32::from);
                let (scale, min) = (d()[0] * scale, d()[1] * min);
                let codes = if self.dtype == DType::Q4_K { quad_u4() } else { or(quad_u4(), high_u1(), 4) };
                codes.map(|q| scale * f32::from(q) - min)
            }
            DType::Q6_K => {
                let scale = d()[0] * f32::from(sub() as i8);
                or(quad_u4(), high_u2(), 4).map(|q| scale * (f32::from(q) - 32.0))
            }
            DType::U32 | DType::I32 | DType::I64 => unreachable!("no weight type"),
        }
    }
}
