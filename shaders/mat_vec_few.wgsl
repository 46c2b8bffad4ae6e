// out[t, n] = tail(sum_k x[t, k] * weight[n, k]) for 2 to 8 tokens, on wide devices.
//
//   x       [tokens, columns] f32 (a provider loads it)
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [tokens, out_columns] f32 (a provider says what is stored of the sums)
//
// One workgroup: ROWS weight rows, 2 or 4, for COLS tokens. Lanes share the groups of a row, so neighbouring lanes read
// neighbouring groups; each group of weights is loaded and decoded once for all COLS, quad by quad: what is held in
// registers is a quad of each row and token.

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

alias Sums = array<f32, ROWS * COLS>;
alias Groups = array<WeightGroup, ROWS>;

// Adds the products of quad `i` of the groups number `group`; tokens beyond the last repeat it.
fn add_quads(sums: ptr<function, Sums>, groups: ptr<function, Groups>, token: u32, group: u32, i: u32) {
    var weights: array<vec4<f32>, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        weights[r] = weight_quad((*groups)[r], i);
    }
    for (var c = 0u; c < COLS; c++) {
        let x = x_quad(min(token + c, params.tokens - 1u), group * 8u + i);
        for (var r = 0u; r < ROWS; r++) {
            let w = weights[r];
            (*sums)[r * COLS + c] = fma(w.w, x.w, fma(w.z, x.z, fma(w.y, x.y, fma(w.x, x.x, (*sums)[r * COLS + c]))));
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.x * ROWS;
    let token = workgroup.y * COLS;
    // Rows beyond the last repeat it; they are not stored.
    var starts: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        starts[r] = min(row + r, params.rows - 1u) * params.groups;
    }
    var sums: Sums;
    for (var group = lane; group < params.groups; group += LANES) {
        var groups: Groups;
        for (var r = 0u; r < ROWS; r++) {
            groups[r] = weight_group(starts[r] + group);
        }
        add_quads(&sums, &groups, token, group, 0u);
        add_quads(&sums, &groups, token, group, 1u);
        add_quads(&sums, &groups, token, group, 2u);
        add_quads(&sums, &groups, token, group, 3u);
        add_quads(&sums, &groups, token, group, 4u);
        add_quads(&sums, &groups, token, group, 5u);
        add_quads(&sums, &groups, token, group, 6u);
        add_quads(&sums, &groups, token, group, 7u);
    }
    for (var r = 0u; r < ROWS; r += 2u) {
        for (var c = 0u; c < COLS; c++) {
            let first = reduce_add(lane, sums[r * COLS + c]);
            let second = reduce_add(lane, sums[(r + 1u) * COLS + c]);
            if (lane == 0u) {
                store_rows(token + c, row + r, first, second);
            }
        }
    }
}
