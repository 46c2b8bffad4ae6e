// One operand of a concatenation: runs of `block` words, each at its place in a row of `row` words of the output.
//
//   x    [rows, block] words
//   out  [rows, row] words, of which only offset .. offset + block of each row are written
//
// One invocation: one word.

struct Params {
    count: u32,
    block: u32,
    row: u32,
    offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

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
    let r = i / params.block;
    out[r * params.row + params.offset + i - r * params.block] = x[i];
}
