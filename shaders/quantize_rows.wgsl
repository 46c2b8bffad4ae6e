// Rows as bytes with a scale for every group of 32: x[i] is about scales[i / 32] * bytes[i].
//
//   x       groups of 32 f32
//   bytes   i8, four to a word, the first in the lowest bits
//   scales  [groups] f32
//
// One invocation: a group. Only integers, products by a number of 8 bits and a rounding make the bytes, so that every device
// makes the same: `quantize` in the op's reference says how.

struct Params {
    groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> bytes: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = linear_workgroup(workgroup, grid) * 64u + lane;
    if (group >= params.groups) {
        return;
    }
    var most = vec4<u32>();
    for (var i = 0u; i < 8u; i++) {
        most = max(most, bitcast<vec4<u32>>(x[group * 8u + i]) & vec4<u32>(0x7fffffffu));
    }
    let largest = max(max(most.x, most.y), max(most.z, most.w));
    let exponent = largest >> 23u;
    let steps = (127u << 24u) / ((largest & 0x7fffffu) | 0x800000u);
    let inverse = bitcast<f32>(bitcast<u32>(f32(steps)) + ((126u - exponent) << 23u));
    let usable = exponent >= 16u && exponent < 255u;
    for (var i = 0u; i < 8u; i++) {
        let quad = vec4<i32>(round(x[group * 8u + i] * inverse));
        bytes[group * 8u + i] = select(0u, pack4xI8(quad), usable);
    }
    // Small numbers have the scale 0, and what is not finite has NaN, made of its bits.
    let beyond = select(0.0, bitcast<f32>(largest | 0x7fc00000u), exponent == 255u);
    scales[group] = select(beyond, 1.0 / inverse, usable);
}
