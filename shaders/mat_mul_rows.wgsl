// out[t, n] = tail(sum_k x[t, k] * weight[n, k]), for devices that run few lanes and pay for barriers.
//
//   x       [tokens, columns] f32 (a provider loads it)
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [tokens, out_columns] f32
//
// One workgroup: 8 weight rows, one a lane, for COLS (2, 4 or 8) tokens. A lane walks its own row from end to end
// and decodes each group once; no workgroup memory.

struct Params {
    tokens: u32,
    columns: u32,
    rows: u32,
    first: u32,
    out_columns: u32,
    groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

fn add_group(sum: vec4<f32>, w: Quads, token: u32, group: u32, lane: u32) -> vec4<f32> {
    // Tokens beyond the last repeat it; they are not stored.
    return add_products(sum, w, x_group(min(token, params.tokens - 1u), group, lane));
}

fn store(token: u32, row: u32, sum: vec4<f32>) {
    if (token < params.tokens && row < params.rows) {
        let index = token * params.out_columns + params.first + row;
        out[index] = tail((sum.x + sum.y) + (sum.z + sum.w), index, params.first + row);
    }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.x * 8u + lane;
    let token = workgroup.y * COLS;
    // Lanes beyond the last row repeat it, since every lane is needed to load activations.
    let base = min(row, params.rows - 1u) * params.groups;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    var s4 = vec4<f32>();
    var s5 = vec4<f32>();
    var s6 = vec4<f32>();
    var s7 = vec4<f32>();
    for (var group = 0u; group < params.groups; group++) {
        let w = decode(weight_group(base + group));
        s0 = add_group(s0, w, token, group, lane);
        s1 = add_group(s1, w, token + 1u, group, lane);
        if (COLS > 2u) {
            s2 = add_group(s2, w, token + 2u, group, lane);
            s3 = add_group(s3, w, token + 3u, group, lane);
        }
        if (COLS > 4u) {
            s4 = add_group(s4, w, token + 4u, group, lane);
            s5 = add_group(s5, w, token + 5u, group, lane);
            s6 = add_group(s6, w, token + 6u, group, lane);
            s7 = add_group(s7, w, token + 7u, group, lane);
        }
    }
    store(token, row, s0);
    store(token + 1u, row, s1);
    if (COLS > 2u) {
        store(token + 2u, row, s2);
        store(token + 3u, row, s3);
    }
    if (COLS > 4u) {
        store(token + 4u, row, s4);
        store(token + 5u, row, s5);
        store(token + 6u, row, s6);
        store(token + 7u, row, s7);
    }
}
