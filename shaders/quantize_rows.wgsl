// Rows as bytes with a scale for every group of 32: x[i] is about scales[i / 32] * bytes[i].
//
//   x       groups of 32 f32
//   bytes   i8, four to a word, the first in the lowest bits
//   scales  [groups] f32
//
// One invocation: a group.

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
    var largest = 0u;
    for (var i = 0u; i < 8u; i++) {
        largest = largest_of(largest, x[group * 8u + i]);
    }
    let inverse = inverse_scale(largest);
    for (var i = 0u; i < 8u; i++) {
        bytes[group * 8u + i] = four_bytes(x[group * 8u + i], inverse);
    }
    scales[group] = scale_beside(largest, inverse);
}
