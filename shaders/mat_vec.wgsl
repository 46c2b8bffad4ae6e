// out[t, n] = tail(sum_k x[t, k] * weight[n, k]) for up to 8 tokens, on wide devices.
//
//   x       [tokens, columns] f32 (a provider loads it)
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [tokens, out_columns] f32
//
// One workgroup: ROWS weight rows for COLS tokens. Lanes share the groups of a row, so neighbouring lanes read
// neighbouring groups; each group of weights is loaded and decoded once for all COLS.

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

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.x * ROWS;
    let token = workgroup.y * COLS;
    var sums: array<f32, ROWS * COLS>;
    for (var group = lane; group < params.groups; group += LANES) {
        for (var r = 0u; r < ROWS; r++) {
            // Rows and tokens beyond the last repeat it; they are not stored.
            let w = decode(weight_group(min(row + r, params.rows - 1u) * params.groups + group));
            for (var c = 0u; c < COLS; c++) {
                let x = x_group(min(token + c, params.tokens - 1u), group, lane);
                let parts = add_products(vec4<f32>(), w, x);
                sums[r * COLS + c] += (parts.x + parts.y) + (parts.z + parts.w);
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        for (var c = 0u; c < COLS; c++) {
            let sum = reduce_add(lane, sums[r * COLS + c]);
            if (lane == 0u && row + r < params.rows && token + c < params.tokens) {
                let index = (token + c) * params.out_columns + params.first + row + r;
                out[index] = tail(sum, index, params.first + row + r);
            }
        }
    }
}
