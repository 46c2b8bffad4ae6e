// out[c] = data[c with indices[c] in the place of c_axis]
//
//   data     words; n places along the axis, `along` words from one to the next
//   indices  [count] i32; one outside takes the nearest place
//   out      [count] words
//
// The RANK dimensions are those of the output, each with the words of `data` from one coordinate to the next, 0 for the axis.
//
// One invocation: one word.

struct Dimension {
    len: u32,
    stride: u32,
    pad_0: u32,
    pad_1: u32,
}

struct Params {
    count: u32,
    n: u32,
    along: u32,
    pad: u32,
    dims: array<Dimension, RANK>,
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
    var at = index_place(indices[i], params.n) * params.along;
    var rest = i;
    for (var k = 0u; k < RANK; k++) {
        let dim = params.dims[RANK - 1u - k];
        let outer = rest / dim.len;
        at += (rest - outer * dim.len) * dim.stride;
        rest = outer;
    }
    out[i] = data[at];
}
