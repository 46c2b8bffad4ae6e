// out[t, n] = tail(sum_k x[t, k] * weight[n, k]) for many tokens, on devices whose subgroups multiply matrices together.
//
//   x       [tokens, columns] f32 (a provider loads it)
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [tokens, out_columns] f32 (a provider says what is stored of the sums)
//
// One workgroup: 64 weight rows x 64 tokens, half a group of K (16) at a time through workgroup memory. PARTS (2 or 4) subgroups
// each sum 32 tokens x 128 / PARTS rows as matrices of SIZE x SIZE (`cooperative/*`). A device may run more subgroups, up to SLABS:
// these repeat the last part, since all must take part in what is done together, and their sums are not stored.

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

// Elements from one token or row of a tile to the next: 16 depths, and 8 that move neighbours to other banks.
const STRIDE: u32 = 24u;
// Matrices of a subgroup below and beside each other.
const DOWN: u32 = 32u / SIZE;
const ACROSS: u32 = 128u / (PARTS * SIZE);

// By token and by row.
var<workgroup> left_tile: array<Element, 64u * STRIDE>;
var<workgroup> right_tile: array<Element, 64u * STRIDE>;
// A matrix of sums of each subgroup.
var<workgroup> blocks_tile: array<f32, SLABS * SIZE * SIZE>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let row = workgroup.x * 64u;
    let token = workgroup.y * 64u;
    // An invocation brings two quads of a row and of a token. Those beyond the last repeat it; they are not stored.
    let own = lane % 64u;
    let upper = lane / 64u;
    let own_groups = min(row + own, params.rows - 1u) * params.groups;
    let own_token = min(token + own, params.tokens - 1u);
    let put = own * STRIDE + upper * 8u;
    // Where the subgroup's part of the tile begins.
    let part = min(subgroup_of(subgroup, lane), PARTS - 1u);
    let own_down = part % 2u * 32u;
    let own_across = part / 2u * SIZE * ACROSS;
    let own_block = subgroup_of(subgroup, lane) * SIZE * SIZE;

    for (var i = lane; i < SLABS * SIZE * SIZE; i += 128u) {
        blocks_tile[i] = 0.0;
    }
    workgroupBarrier();
    var sums: array<Block, DOWN * ACROSS>;
    for (var i = 0u; i < DOWN * ACROSS; i++) {
        sums[i] = load_block(own_block, SIZE);
    }
    for (var half = 0u; half < 2u * params.groups; half++) {
        let w = weight_group(own_groups + half / 2u);
        // Quads of a group are literals for the weight's provider.
        switch (half % 2u * 2u + upper) {
            case 0u: {
                put_right(put, weight_quad(w, 0u));
                put_right(put + 4u, weight_quad(w, 1u));
            }
            case 1u: {
                put_right(put, weight_quad(w, 2u));
                put_right(put + 4u, weight_quad(w, 3u));
            }
            case 2u: {
                put_right(put, weight_quad(w, 4u));
                put_right(put + 4u, weight_quad(w, 5u));
            }
            default: {
                put_right(put, weight_quad(w, 6u));
                put_right(put + 4u, weight_quad(w, 7u));
            }
        }
        let quad = half * 4u + upper * 2u;
        put_left(put, x_quad(own_token, quad));
        put_left(put + 4u, x_quad(own_token, quad + 1u));
        workgroupBarrier();
        for (var depth = 0u; depth < 16u; depth += SIZE) {
            var left: array<Left, DOWN>;
            for (var d = 0u; d < DOWN; d++) {
                let at = (own_down + d * SIZE) * STRIDE + depth;
                left[d] = load_left(at, STRIDE);
            }
            for (var a = 0u; a < ACROSS; a++) {
                let at = (own_across + a * SIZE) * STRIDE + depth;
                let right = load_right(at, STRIDE);
                for (var d = 0u; d < DOWN; d++) {
                    sums[a * DOWN + d] = multiply_matrices(left[d], right, sums[a * DOWN + d]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < DOWN * ACROSS; i++) {
        store_block(sums[i], own_block, SIZE);
        workgroupBarrier();
        // Two sums beside each other to an invocation, of the matrices of all parts.
        for (var pair = lane; pair < PARTS * SIZE * SIZE / 2u; pair += 128u) {
            let owner = pair / (SIZE * SIZE / 2u);
            let place = pair % (SIZE * SIZE / 2u) * 2u;
            let down = owner % 2u * 32u + i % DOWN * SIZE + place / SIZE;
            let across = owner / 2u * SIZE * ACROSS + i / DOWN * SIZE + place % SIZE;
            store_rows(token + down, row + across, blocks_tile[2u * pair], blocks_tile[2u * pair + 1u]);
        }
        workgroupBarrier();
    }
}
