// out[t, n] = tail(sum_k x[t, k] * weight[n, k]) for many tokens, on wide devices.
//
//   x       [tokens, columns] f32 (a provider loads it)
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [tokens, out_columns] f32
//
// One workgroup: 64 weight rows x 64 tokens, one group of K (32) at a time through 16 KiB of workgroup memory; weights
// are decoded on their way in. 64 invocations as 8 x 8, each with 8 rows x 8 tokens of sums in registers, 8 apart so
// that neighbours touch neighbouring rows.

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

var<workgroup> w_tile: array<vec4<f32>, 512>;
var<workgroup> x_tile: array<vec4<f32>, 512>;

// Where quad `quad` (0..8) of a tile's row stands: rotated by the row, so that the rows that one subgroup reads at once
// lie in different banks.
fn place(row: u32, quad: u32) -> u32 {
    return row * 8u + (quad ^ (row & 7u));
}

fn dot_add(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.x * 64u;
    let token = workgroup.y * 64u;
    let across = lane & 7u;
    let down = lane >> 3u;
    // Rows and tokens beyond the last repeat it; they are not stored.
    let own_row = min(row + lane, params.rows - 1u) * params.groups;
    let own_token = min(token + lane, params.tokens - 1u);
    var sums: array<array<f32, 8>, 8>;
    for (var group = 0u; group < params.groups; group++) {
        let w = weight_group(own_row + group);
        w_tile[place(lane, 0u)] = weight_quad(w, 0u);
        w_tile[place(lane, 1u)] = weight_quad(w, 1u);
        w_tile[place(lane, 2u)] = weight_quad(w, 2u);
        w_tile[place(lane, 3u)] = weight_quad(w, 3u);
        w_tile[place(lane, 4u)] = weight_quad(w, 4u);
        w_tile[place(lane, 5u)] = weight_quad(w, 5u);
        w_tile[place(lane, 6u)] = weight_quad(w, 6u);
        w_tile[place(lane, 7u)] = weight_quad(w, 7u);
        for (var q = 0u; q < 8u; q++) {
            x_tile[place(lane, q)] = x_quad(own_token, group * 8u + q);
        }
        workgroupBarrier();
        for (var q = 0u; q < 8u; q++) {
            var xs: array<vec4<f32>, 8>;
            for (var j = 0u; j < 8u; j++) {
                xs[j] = x_tile[place(down + 8u * j, q)];
            }
            for (var i = 0u; i < 8u; i++) {
                let weights = w_tile[place(across + 8u * i, q)];
                for (var j = 0u; j < 8u; j++) {
                    sums[i][j] = dot_add(weights, xs[j], sums[i][j]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var j = 0u; j < 8u; j++) {
        let t = token + down + 8u * j;
        for (var i = 0u; i < 8u; i++) {
            let r = row + across + 8u * i;
            if (t < params.tokens && r < params.rows) {
                let index = t * params.out_columns + params.first + r;
                out[index] = tail(sums[i][j], index, params.first + r);
            }
        }
    }
}
