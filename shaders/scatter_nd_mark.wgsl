// out[slice, 0] = the last of the tuples that name the slice, counted from 1, or 0.
//
//   indices  [tuples, TUPLE] i32; one outside takes the nearest place
//   out      [dims 0, .., dims TUPLE - 1, slice] words, of which the first of each slice is written
//
// CLEAR: 1 writes 0 to all `count` slices, 0 goes through all `count` tuples.
//
// One invocation: one slice, or one tuple.

struct Params {
    count: u32,
    slice: u32,
    pad_0: u32,
    pad_1: u32,
    dims: array<vec4<u32>, WORDS>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<atomic<u32>>;

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
    if (CLEAR == 1u) {
        atomicStore(&out[i * params.slice], 0u);
    } else {
        atomicMax(&out[tuple_place(i) * params.slice], i + 1u);
    }
}
