// out[tuple t, s] = combine(there, updates[t, s]), for all tuples in order.
//
//   indices  [tuples, TUPLE] i32; one outside takes the nearest place
//   updates  [tuples, slice] words
//   out      [dims 0, .., dims TUPLE - 1, slice] words
//
// One invocation: one element of the slices, of every tuple.

struct Params {
    slice: u32,
    tuples: u32,
    pad_0: u32,
    pad_1: u32,
    dims: array<vec4<u32>, WORDS>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> updates: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let s = linear_workgroup(workgroup, grid) * 64u + lane;
    if (s >= params.slice) {
        return;
    }
    for (var t = 0u; t < params.tuples; t++) {
        let at = tuple_place(t) * params.slice + s;
        out[at] = combine(out[at], updates[t * params.slice + s]);
    }
}
