// out[0, n] = tail(sum_k x[0, k] * weight[n, k]) for one token, for devices that run few lanes, load for one lane after another
// and have integers of 64 bits: in words of these, half as many loads bring as much.
//
//   x       [1, columns] f32 (a provider loads it, and may normalise it by the way), columns a multiple of 64
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [1, out_columns] f32
//
// One workgroup: 32 weight rows, four a lane (a provider says which), its 8 lanes in one subgroup. A lane walks its own rows from
// end to end, two groups at a time; activations are loaded once for the four.

struct Params {
    tokens: u32,
    columns: u32,
    rows: u32,
    first: u32,
    out_columns: u32,
    groups: u32,
    // Of the norm, where there is one.
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// The first pair of groups of a row; rows beyond the last repeat it, and are not stored.
fn row_start(row: u32) -> u32 {
    return min(row, params.rows - 1u) * (params.groups / 2u);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b0 = row_start(row_of(workgroup.x, lane, 0u));
    let b1 = row_start(row_of(workgroup.x, lane, 1u));
    let b2 = row_start(row_of(workgroup.x, lane, 2u));
    let b3 = row_start(row_of(workgroup.x, lane, 3u));
    var s0 = 0.0;
    var s1 = 0.0;
    var s2 = 0.0;
    var s3 = 0.0;
    for (var pair = 0u; pair < params.groups / 2u; pair++) {
        let x = x_pair(pair, lane);
        s0 += pair_sum(weight_pair(b0 + pair), x);
        s1 += pair_sum(weight_pair(b1 + pair), x);
        s2 += pair_sum(weight_pair(b2 + pair), x);
        s3 += pair_sum(weight_pair(b3 + pair), x);
    }
    store_all(workgroup.x, lane, vec4<f32>(s0, s1, s2, s3) * x_scale(lane));
}
