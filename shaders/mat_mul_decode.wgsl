// out[n, k] = weight[n, k]: a weight as plain f32, for products of so many tokens that decoding once is worth its storage.
//
//   weight  [rows, columns], packed (group 1)
//   out     [rows, columns] f32, columns a multiple of 4
//
// One invocation: one group of 32.

struct Params {
    rows: u32,
    columns: u32,
    groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;

// A padded last group goes beyond the row.
fn store(row: u32, quad: u32, value: vec4<f32>) {
    let quads = params.columns / 4u;
    if (quad < quads) {
        out[row * quads + quad] = value;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    let row = i / params.groups;
    if (row >= params.rows) {
        return;
    }
    let w = decode(weight_group(i));
    let quad = (i - row * params.groups) * 8u;
    store(row, quad, w.q0);
    store(row, quad + 1u, w.q1);
    store(row, quad + 2u, w.q2);
    store(row, quad + 3u, w.q3);
    store(row, quad + 4u, w.q4);
    store(row, quad + 5u, w.q5);
    store(row, quad + 6u, w.q6);
    store(row, quad + 7u, w.q7);
}
