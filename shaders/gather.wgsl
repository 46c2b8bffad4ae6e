// out[o, j, s] = data[o, indices[j], s]
//
//   data     [outer, n, inner] words
//   indices  [indices] i32; one outside takes the nearest place
//   out      [outer, indices, inner] words
//
// One invocation: one word.

struct Params {
    count: u32,
    indices: u32,
    n: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> data: array<u32>;
@group(0) @binding(2) var<storage, read_write> indices: array<i32>;
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
    let slice = i / params.inner;
    let outer = slice / params.indices;
    let place = index_place(indices[slice - outer * params.indices], params.n);
    out[i] = data[(outer * params.n + place) * params.inner + i - slice * params.inner];
}
