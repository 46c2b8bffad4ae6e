//! Bit helpers that the format files share: f16 fields, views of byte planes, and the packed bit layouts.

use bytemuck::Pod;
use half::f16;

/// The codes of one group, one weight per byte.
pub(super) type Codes = [u8; super::GROUP];

/// An f16 field of a file block as f32.
pub(super) fn half(field: [u8; 2]) -> f32 {
    f16::from_le_bytes(field).to_f32()
}

/// `data` as whole `B`s; a rest that is no whole `B` is left out. `B` is made of the same elements as `data`.
pub(super) fn cut<T: Pod, B: Pod>(data: &[T]) -> &[B] {
    let (blocks, _) = data.split_at(whole::<T, B>(data.len()));
    bytemuck::cast_slice(blocks)
}

/// [`cut`] for writing.
pub(super) fn cut_mut<T: Pod, B: Pod>(data: &mut [T]) -> &mut [B] {
    let (blocks, _) = data.split_at_mut(whole::<T, B>(data.len()));
    bytemuck::cast_slice_mut(blocks)
}

/// The largest part of `len` elements that is a whole number of `B`s.
const fn whole<T, B>(len: usize) -> usize {
    const { assert!(align_of::<B>() <= align_of::<T>() && size_of::<B>().is_multiple_of(size_of::<T>())) };
    len - len % (size_of::<B>() / size_of::<T>())
}

/// The low 4 bits of each code: word `w` holds quads `2w` (low nibbles) and `2w + 1` (high nibbles).
pub(super) fn pack4(codes: &Codes) -> [u8; 16] {
    std::array::from_fn(|at| {
        let (word, byte) = (at / 4, at % 4);
        let first = 8 * word + byte;
        (codes[first] & 15) | (codes[first + 4] & 15) << 4
    })
}

/// Two bits of each code, from bit `shift` on: quad `4w + c` at bit `2c` of each byte of word `w`.
pub(super) fn pack2(codes: &Codes, shift: u32) -> [u8; 8] {
    std::array::from_fn(|at| {
        let (word, byte) = (at / 4, at % 4);
        (0..4).fold(0, |bits, c| bits | ((codes[16 * word + 4 * c + byte] >> shift) & 3) << (2 * c))
    })
}

/// One bit of each code, bit `shift`: quad `i` at bit `i` of each byte.
pub(super) fn pack1(codes: &Codes, shift: u32) -> [u8; 4] {
    std::array::from_fn(|byte| (0..8).fold(0, |bits, i| bits | ((codes[4 * i + byte] >> shift) & 1) << i))
}

/// The 32 codes of a 16-byte run of a file: low nibbles are the first 16 weights, high nibbles the last 16.
pub(super) fn nibbles(bytes: &[u8; 16]) -> Codes {
    let mut codes = [0; super::GROUP];
    for (at, &byte) in bytes.iter().enumerate() {
        codes[at] = byte & 15;
        codes[at + 16] = byte >> 4;
    }
    codes
}

/// Bit 4 of 32 codes from a little-endian bit field: weight `i` is bit `i`.
pub(super) fn add_fifth_bit(codes: &mut Codes, field: [u8; 4]) {
    let field = u32::from_le_bytes(field);
    for (at, code) in codes.iter_mut().enumerate() {
        *code |= (((field >> at) & 1) as u8) << 4;
    }
}

/// The five words of scales of a super-block: `d`, `dmin` (zero where there is none), 16 bytes.
pub(super) fn super_scales(d: [u8; 2], dmin: [u8; 2], bytes: [u8; 16]) -> [u8; 20] {
    let mut words = [0; 20];
    words[0..2].copy_from_slice(&d);
    words[2..4].copy_from_slice(&dmin);
    words[4..].copy_from_slice(&bytes);
    words
}

/// The 6-bit scales and mins of Q4_K and Q5_K, eight of each, as `[scale, min]` of every group.
///
/// Groups 0..4 keep theirs in the low 6 bits of bytes `g` and `g + 4`; groups 4..8 have their low 4 bits in byte
/// `g + 4` (scale low, min high) and their upper 2 bits on top of bytes `g - 4` and `g`.
pub(super) fn six_bit_scales(packed: &[u8; 12]) -> [[u8; 2]; 8] {
    std::array::from_fn(|g| match g {
        0..4 => [packed[g] & 63, packed[g + 4] & 63],
        _ => [(packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4, (packed[g + 4] >> 4) | (packed[g] >> 6) << 4],
    })
}
