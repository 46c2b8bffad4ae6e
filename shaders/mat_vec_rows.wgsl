// out[0, n] = tail(sum_k x[0, k] * weight[n, k]) for one token, for devices that run few lanes and pay for barriers.
//
//   x       [1, columns] f32 (a provider loads it, and may normalise it by the way)
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [1, out_columns] f32
//
// One workgroup: 32 weight rows, four a lane (a provider says which). A lane walks its own rows from end to end;
// activations are loaded once for the four.

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

// The first group of a row; rows beyond the last repeat it, and are not stored.
fn row_start(row: u32) -> u32 {
    return min(row, params.rows - 1u) * params.groups;
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
    for (var group = 0u; group < params.groups; group++) {
        let x = x_group(0u, group, lane);
        s0 += group_sum(weight_group(b0 + group), x);
        s1 += group_sum(weight_group(b1 + group), x);
        s2 += group_sum(weight_group(b2 + group), x);
        s3 += group_sum(weight_group(b3 + group), x);
    }
    store_all(workgroup.x, lane, vec4<f32>(s0, s1, s2, s3) * x_scale(lane));
}
