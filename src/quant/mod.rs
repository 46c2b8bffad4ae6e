//! Block formats: geometry, dequantisation on the host, and the packing that the GPU reads.
//!
//! A block format is one file here (its twin of the same stem is `shaders/load/<stem>.wgsl`) and one line in
//! [`Format::of`]; `dense.rs` holds the three unquantised ones. Host code that only wants numbers calls [`dequantize`];
//! the weight loader calls [`pack_rows`].
//!
//! The values are exact: what a provider computes from the planes is what [`dequantize`] computes from the file, up to
//! the rounding of a fused multiply-add. The layouts of file blocks are those of `ggml-common.h` of ggml.
//!
//! # The packed layout
//!
//! A row is cut into **groups** of 32 weights (dense rows are padded with zeros to a whole group). A format has up to
//! three planes, each an array with a fixed number of bytes per group or per super-block of 8 groups, so that element
//! `row * groups + group` is found without any table:
//!
//! * `quants`: the low bits (dense formats: the values themselves), aligned to the widest load that fits,
//! * `scales`: scales and offsets,
//! * `high`: the upper bits of formats whose width is no power of two.
//!
//! Within a group, bits are arranged so that **byte `j` of any word holds only weights whose index is `j` modulo 4**;
//! a quad (weights `4i .. 4i+4`) is then one shift, one mask and one byte unpack:
//!
//! * 4 bits: word `w` holds quads `2w` (low nibbles) and `2w+1` (high nibbles);
//! * 2 bits: word `w` holds quads `4w .. 4w+4`, quad `4w+c` at bit `2c` of each byte;
//! * 1 bit: one word, quad `i` at bit `i` of each byte;
//! * 8 bits: word `i` is quad `i`.
//!
//! Bytes per unit (32 weights, or a super-block of 256) and how a weight is computed from its unsigned code `q`:
//!
//! | format | quants | scales | high | weight |
//! |---|---|---|---|---|
//! | F32 | 128 | | | the value |
//! | F16, BF16 | 64 | | | the value |
//! | Q4_0 | 16 | 2: f16 `d` | | `d * (q - 8)` |
//! | Q4_1 | 16 | 4: f16 `d`, `m` | | `d * q + m` |
//! | Q5_0 | 16 | 2: f16 `d` | 4 | `d * (q - 16)` |
//! | Q5_1 | 16 | 4: f16 `d`, `m` | 4 | `d * q + m` |
//! | Q8_0 | 32, signed | 2: f16 `d` | | `d * q` |
//! | IQ4_NL | 16 | 2: f16 `d` | | `d * CODEBOOK[q]` |
//! | Q2_K | 64 | 20: `sc`, `m` are the low and high nibble of byte `s` | | `(d * sc) * q - (dmin * m)` |
//! | Q3_K | 64 | 20: `sc` is signed | 32 | `(d * sc) * (q - 4)` |
//! | Q4_K | 128 | 20 | | `(d * sc) * q - (dmin * m)` |
//! | Q5_K | 128 | 20 | 32 | `(d * sc) * q - (dmin * m)` |
//! | Q6_K | 128 | 20: `sc` is signed | 64, two bits a weight | `(d * sc) * (q - 32)` |
//!
//! Two-byte scales are packed two per word in element order, low half first.
//!
//! Super-block formats keep five words of scales per super-block: word 0 is `d` (low half) and `dmin` (high half, 0
//! where there is none), both f16; words 1..5 are 16 bytes: for Q4_K and Q5_K byte `2g` is the scale and byte `2g+1`
//! the min of group `g`; for the formats with 16-weight sub-blocks byte `s` belongs to sub-block `s`.

mod bits;
mod dense;
pub mod iq4_nl;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;

use crate::dtype::DType;
use crate::error::{Error, Result};

/// Weights per packed group.
pub const GROUP: usize = 32;
/// Weights per super-block of the k-quants: eight groups.
const SUPER: usize = 8 * GROUP;

/// How one weight format is read from a file and laid out for the GPU.
#[derive(Debug)]
pub struct Format {
    /// The element type that this is the format of.
    pub dtype: DType,
    /// Weights per packed unit: 32, or 256 for the k-quants.
    pub unit: usize,
    /// Bytes per unit of the plane of low bits.
    pub quants: usize,
    /// Bytes per unit of the plane of scales, 0 = no such plane.
    pub scales: usize,
    /// Bytes per unit of the plane of upper bits, 0 = no such plane.
    pub high: usize,
    /// Turns file blocks into numbers. Works through as many whole blocks as both slices have; [`dequantize`] checks sizes.
    pub dequantize: fn(&[u8], &mut [f32]),
    /// Packs consecutive file blocks of one row, as many as both sides have; the planes of a dense row may be longer than
    /// its bytes and are filled up with zeros. [`pack_rows`] checks sizes.
    pub pack: fn(&[u8], Planes<'_>),
}

/// The planes that [`Format::pack`] writes: the bytes of the same units in each.
#[derive(Debug)]
pub struct Planes<'a> {
    /// Low bits, or the values of dense formats.
    pub quants: &'a mut [u8],
    /// Scales and offsets; empty where the format has none.
    pub scales: &'a mut [u8],
    /// Upper bits; empty where the format has none.
    pub high: &'a mut [u8],
}

impl Format {
    /// The format of `dtype`, or `None` for the integer types, which no weight matrix has.
    pub fn of(dtype: DType) -> Option<&'static Format> {
        Some(match dtype {
            DType::F32 => &dense::F32,
            DType::F16 => &dense::F16,
            DType::BF16 => &dense::BF16,
            DType::Q4_0 => &q4_0::FORMAT,
            DType::Q4_1 => &q4_1::FORMAT,
            DType::Q5_0 => &q5_0::FORMAT,
            DType::Q5_1 => &q5_1::FORMAT,
            DType::Q8_0 => &q8_0::FORMAT,
            DType::Q2_K => &q2_k::FORMAT,
            DType::Q3_K => &q3_k::FORMAT,
            DType::Q4_K => &q4_k::FORMAT,
            DType::Q5_K => &q5_k::FORMAT,
            DType::Q6_K => &q6_k::FORMAT,
            DType::IQ4_NL => &iq4_nl::FORMAT,
            DType::U32 | DType::I32 | DType::I64 => return None,
        })
    }

    /// Whether two neighbouring groups share words of scales, so that both are best loaded together.
    pub fn shares_scales(&self) -> bool {
        self.unit > GROUP || !self.scales.is_multiple_of(4)
    }

    /// Groups of 32 that a row of `columns` weights takes: rounded up, and to whole super-blocks for the k-quants.
    pub fn groups(&self, columns: usize) -> usize {
        columns.div_ceil(self.unit) * (self.unit / GROUP)
    }

    /// Bytes of the planes `[quants, scales, high]` of a `[rows, columns]` matrix, each rounded up to whole words.
    /// A size that no `usize` holds is given as `usize::MAX`.
    pub fn plane_bytes(&self, rows: usize, columns: usize) -> [usize; 3] {
        let units = rows.saturating_mul(columns.div_ceil(self.unit));
        [self.quants, self.scales, self.high]
            .map(|bytes| units.saturating_mul(bytes).checked_next_multiple_of(4).unwrap_or(usize::MAX))
    }
}

/// Decodes whole rows of file bytes: `out.len()` weights, in order.
///
/// # Errors
/// [`Error::Unsupported`] for the integer types; [`Error::Shape`] unless `bytes` are exactly the blocks of `out.len()` weights.
pub fn dequantize(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    let format = require(dtype)?;
    if dtype.row_bytes(out.len()) != Some(bytes.len()) {
        let what = format!("{} bytes are not the blocks of {} {dtype} weights", bytes.len(), out.len());
        return Err(Error::shape("dequantize", what));
    }
    (format.dequantize)(bytes, out);
    Ok(())
}

/// Packs the file bytes of a `[rows, columns]` matrix, or of some consecutive rows of one, into `[quants, scales, high]`.
///
/// Every row starts on a whole unit; dense rows are padded with zeros. The planes have the sizes of [`Format::plane_bytes`].
///
/// # Errors
/// [`Error::Unsupported`] for the integer types; [`Error::Shape`] when `bytes` or a plane has not the size that the shape asks for.
pub fn pack_rows(dtype: DType, bytes: &[u8], rows: usize, columns: usize, planes: [&mut [u8]; 3]) -> Result<()> {
    let format = require(dtype)?;
    let refuse = |what: String| Error::shape("pack_rows", format!("{dtype} [{rows}, {columns}]: {what}"));
    let row_bytes = dtype.row_bytes(columns).ok_or_else(|| refuse("a row is no whole number of blocks".into()))?;
    if rows.checked_mul(row_bytes) != Some(bytes.len()) {
        return Err(refuse(format!("{} bytes instead of {rows} rows of {row_bytes}", bytes.len())));
    }
    let (found, expected) = (planes.each_ref().map(|plane| plane.len()), format.plane_bytes(rows, columns));
    if found != expected {
        return Err(refuse(format!("planes of {found:?} bytes instead of {expected:?}")));
    }
    if row_bytes == 0 {
        return Ok(());
    }

    let [mut quants, mut scales, mut high] = planes;
    let units = columns.div_ceil(format.unit);
    for row in bytes.chunks_exact(row_bytes) {
        let planes = Planes {
            quants: take(&mut quants, units * format.quants),
            scales: take(&mut scales, units * format.scales),
            high: take(&mut high, units * format.high),
        };
        (format.pack)(row, planes);
    }
    // An odd number of two-byte scales leaves half a word.
    for rest in [quants, scales, high] {
        rest.fill(0);
    }
    Ok(())
}

/// Cuts up to `bytes` off the front of `plane`.
fn take<'a>(plane: &mut &'a mut [u8], bytes: usize) -> &'a mut [u8] {
    let (head, tail) = std::mem::take(plane).split_at_mut_checked(bytes).unwrap_or_default();
    *plane = tail;
    head
}

fn require(dtype: DType) -> Result<&'static Format> {
    Format::of(dtype).ok_or_else(|| Error::Unsupported(format!("weights of type {dtype}")))
}
