// out[b, t, s] = data[b, indices[b, t, 0], .., indices[b, t, TUPLE - 1], s]
//
//   data     [batches, dims 0, .., dims TUPLE - 1, slice] words
//   indices  [batches, per_batch, TUPLE] i32; one outside takes the nearest place
//   out      [batches, per_batch, slice] words
//
// `picked` is the product of the dims.
//
// One invocation: one word.

struct Params {
    count: u32,
    slice: u32,
    per_batch: u32,
    picked: u32,
    dims: array<vec4<u32>, WORDS>,
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
    let tuple = i / params.slice;
    let at = tuple / params.per_batch * params.picked + tuple_place(tuple);
    out[i] = data[at * params.slice + i - tuple * params.slice];
}
