// Groups of 32 numbers as bytes with a scale: what every kernel that makes such does alike. Only integers, products by a number of 8
// bits and a rounding make the bytes, so that every device makes the same of the same numbers: `quantize` in the reference of
// QuantizeRows says how.

// What the numbers of a group become bytes with, as their factor; 0 where they become zeros. `largest` has the bits of the largest
// magnitude.
fn inverse_scale(largest: u32) -> f32 {
    let exponent = largest >> 23u;
    let steps = (127u << 24u) / ((largest & 0x7fffffu) | 0x800000u);
    let inverse = bitcast<f32>(bitcast<u32>(f32(steps)) + ((126u - exponent) << 23u));
    return select(0.0, inverse, exponent >= 16u && exponent < 255u);
}

// The scale beside it. Small numbers have the scale 0, and what is not finite has NaN, made of its bits.
fn scale_beside(largest: u32, inverse: f32) -> f32 {
    let beyond = select(0.0, bitcast<f32>(largest | 0x7fc00000u), largest >> 23u == 255u);
    return select(beyond, 1.0 / inverse, inverse > 0.0);
}

// Four numbers as bytes.
fn four_bytes(quad: vec4<f32>, inverse: f32) -> u32 {
    return select(0u, pack4xI8(vec4<i32>(round(quad * inverse))), inverse > 0.0);
}

// The largest of the bits of four magnitudes and of `most`.
fn largest_of(most: u32, quad: vec4<f32>) -> u32 {
    let bits = bitcast<vec4<u32>>(quad) & vec4<u32>(0x7fffffffu);
    return max(most, max(max(bits.x, bits.y), max(bits.z, bits.w)));
}
