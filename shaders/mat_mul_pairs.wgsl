// out[t, n] = tail(sums[t, 2 n], sums[t, 2 n + 1]): what is left of a product of paired rows whose kernel does not do it.
//
//   sums  [T, columns, 2] f32
//   out   [T, columns] f32
//
// One invocation: one output.

struct Params {
    outputs: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    if (i < params.outputs) {
        let pair = sums[i];
        out[i] = tail(pair.x, pair.y, i, i % params.columns);
    }
}
