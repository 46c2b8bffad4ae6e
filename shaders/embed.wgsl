// out[t, :] = weight[tokens[t], :], for the rows of one chunk of the weight.
//
//   tokens  [T] u32
//   out     [T, columns] f32
//   weight  rows first..end of [V, columns], packed (group 1)
//
// One invocation: one quad of an output row; quads of a padded last group may lie beyond the row.

struct Params {
    tokens: u32,
    columns: u32,
    groups: u32,
    first: u32,
    end: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    let quads = params.groups * 8u;
    let token = i / quads;
    if (token >= params.tokens) {
        return;
    }
    let row = tokens[token];
    if (row < params.first || row >= params.end) {
        return;
    }
    let quad = i % quads;
    let value = weight_quad(weight_group((row - params.first) * params.groups + quad / 8u), quad % 8u);
    for (var j = 0u; j < 4u; j++) {
        let column = quad * 4u + j;
        if (column < params.columns) {
            out[token * params.columns + column] = value[j];
        }
    }
}
