//! The unquantised formats: f32, f16 and bf16, packed in natural order.

use super::{Format, GROUP, Planes, bits};
use crate::dtype::DType;
use half::f16;
use half::slice::HalfFloatSliceExt;

const fn format(dtype: DType, dequantize: fn(&[u8], &mut [f32])) -> Format {
    let (_, bytes) = dtype.block();
    Format { dtype, unit: GROUP, quants: GROUP * bytes, scales: 0, high: 0, dequantize, pack }
}

/// IEEE single precision.
pub(super) static F32: Format = format(DType::F32, |bytes, out| {
    for (value, out) in bits::cut::<_, [u8; 4]>(bytes).iter().zip(out) {
        *out = f32::from_le_bytes(*value);
    }
});

/// IEEE half precision.
pub(super) static F16: Format = format(DType::F16, |bytes, out| {
    // By groups through a buffer: the file's bytes need not be aligned for the slice conversion of `half`.
    for (values, out) in bits::cut::<_, [u8; 2]>(bytes).chunks(GROUP).zip(out.chunks_mut(GROUP)) {
        let mut halves = [f16::ZERO; GROUP];
        for (half, value) in halves.iter_mut().zip(values) {
            *half = f16::from_le_bytes(*value);
        }
        let count = values.len().min(out.len());
        halves[..count].convert_to_f32_slice(&mut out[..count]);
    }
});

/// The upper half of an IEEE single.
pub(super) static BF16: Format = format(DType::BF16, |bytes, out| {
    for (value, out) in bits::cut::<_, [u8; 2]>(bytes).iter().zip(out) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes(*value)) << 16);
    }
});

/// Copies the values and fills the last group of the row up with zeros.
fn pack(bytes: &[u8], planes: Planes<'_>) {
    let (values, padding) = planes.quants.split_at_mut(bytes.len().min(planes.quants.len()));
    values.copy_from_slice(&bytes[..values.len()]);
    padding.fill(0);
}
