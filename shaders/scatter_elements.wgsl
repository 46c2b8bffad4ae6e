// out[c with indices[c] in the place of c_axis] = combine(there, updates[c]), for each line of c along the axis in order.
//
//   indices  words; `updates` along the axis, `index_along` words from one to the next; one outside takes the nearest place
//   updates  words, as indices
//   out      words; n places along the axis, `along` words from one to the next
//
// The RANK dimensions are those of indices beside the axis, each with the words from one coordinate to the next.
//
// One invocation: one line. No two lines meet the same element.

struct Dimension {
    len: u32,
    stride: u32,
    index_stride: u32,
    pad: u32,
}

struct Params {
    count: u32,
    updates: u32,
    n: u32,
    along: u32,
    index_along: u32,
    pad_0: u32,
    pad_1: u32,
    pad_2: u32,
    dims: array<Dimension, RANK>,
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
    let line = linear_workgroup(workgroup, grid) * 64u + lane;
    if (line >= params.count) {
        return;
    }
    var base = 0u;
    var source = 0u;
    var rest = line;
    for (var k = 0u; k < RANK; k++) {
        let dim = params.dims[RANK - 1u - k];
        let outer = rest / dim.len;
        base += (rest - outer * dim.len) * dim.stride;
        source += (rest - outer * dim.len) * dim.index_stride;
        rest = outer;
    }
    for (var u = 0u; u < params.updates; u++) {
        let at = base + index_place(indices[source], params.n) * params.along;
        out[at] = combine(out[at], updates[source]);
        source += params.index_along;
    }
}
