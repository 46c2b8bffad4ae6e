// out[r, :] = x[rows[r], :]
//
//   x     [tokens, columns] f32
//   rows  [R] u32; one beyond the last token takes the last
//   out   [R, columns] f32
//
// One invocation: one element.

struct Params {
    rows: u32,
    columns: u32,
    tokens: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> rows: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    let row = i / params.columns;
    if (row >= params.rows) {
        return;
    }
    out[i] = x[min(rows[row], params.tokens - 1u) * params.columns + i % params.columns];
}
