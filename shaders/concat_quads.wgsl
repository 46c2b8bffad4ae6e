// One operand of a concatenation whose parts begin and end with quads: runs of `block` quads, each at its place in a row of `row` quads
// of the output.
//
//   x    [rows, block] quads
//   out  [rows, row] quads, of which only offset .. offset + block of each row are written
//
// One invocation: `run` quads of a block, one after another; `runs` make a block.

struct Params {
    count: u32,
    block: u32,
    row: u32,
    offset: u32,
    run: u32,
    runs: u32,
    pad_0: u32,
    pad_1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<u32>>;

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
    let r = i / params.runs;
    let first = (i - r * params.runs) * params.run;
    let source = r * params.block;
    let start = r * params.row + params.offset;
    for (var quad = first; quad < min(first + params.run, params.block); quad++) {
        out[start + quad] = x[source + quad];
    }
}
