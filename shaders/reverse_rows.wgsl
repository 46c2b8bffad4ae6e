// out[c] = x[c with lengths[b] - 1 - t in the place of t] where t < lengths[b], else x[c]
//
//   x        [count] words; b is its coordinate along the axis of `batch` sequences, t that along the axis of `time`
//   lengths  [batch] i32; one outside of 0 ..= time takes the nearest
//   out      [count] words
//
// One invocation: one word.

struct Params {
    count: u32,
    batch: u32,
    batch_stride: u32,
    time: u32,
    time_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> lengths: array<i32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

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
    let t = i / params.time_stride % params.time;
    let b = i / params.batch_stride % params.batch;
    let length = u32(clamp(lengths[b], 0, i32(params.time)));
    let start = i - t * params.time_stride;
    out[i] = x[start + select(t, length - 1u - t, t < length) * params.time_stride];
}
