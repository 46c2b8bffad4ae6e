// out[i] = start + spread * x[i], x[i] by the hash of `ops::random` from seed and i
//
//   out  [count] f32
//
// NORMAL: 0 x[i] is uniform in [0, 1), 1 normal, by Box and Muller's transform of the numbers 2i and 2i + 1.
//
// One invocation: one element.

struct Params {
    count: u32,
    seed: u32,
    start: f32,
    spread: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

fn scramble(x: u32) -> u32 {
    let state = x * 0x3c6ef375u + 0x6a09e667u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 0xbb67ae85u;
    return (word >> 22u) ^ word;
}

// The number of [0, 1) at that index.
fn unit(index: u32) -> f32 {
    return f32(scramble(scramble(index) + scramble(~params.seed)) >> 8u) * 5.9604645e-8;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    if (i >= params.count) {
        return;
    }
    var x = 0.0;
    if (NORMAL == 1u) {
        // A logarithm that comes out positive near 1 must not reach the root.
        x = sqrt(max(-2.0 * log(1.0 - unit(2u * i)), 0.0)) * cosine(6.2831855 * unit(2u * i + 1u));
    } else {
        x = unit(i);
    }
    out[i] = params.start + params.spread * x;
}
