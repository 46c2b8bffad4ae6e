// out[t, h] = softmax_p(scale * q[t, h] . k[p]) . v[p] over the positions p <= positions[t] of the token's sequence, for
// many tokens, on devices whose subgroups multiply matrices together.
//
//   operands   see attention/turns.wgsl
//
// One workgroup: 32 query rows of one key-value head and every `splits`th tile of 32 positions. PARTS (2 or 4) subgroups each make
// OWN of the matrices of SIZE x SIZE of the scores, from queries that they keep and slices of 32 elements of keys in workgroup
// memory, and then as many of each slice of 32 elements of the weighted values; four invocations look after a row of both. Where a
// device may run more subgroups, these repeat the last part, since all must take part in what is done together, and store SURPLUS
// elements behind it, where nobody reads. The softmax is kept running, as in attention_tiles.wgsl. A value that is not finite
// spoils all rows of a tile of which some row attends to it.

const ROWS: u32 = 32u;
const KEYS: u32 = 32u;
const SLICES: u32 = (QUADS + 7u) / 8u;
// Elements from one row of a tile to the next: 32, and 8 that move neighbours to other banks.
const STRIDE: u32 = 40u;
const BLOCKS: u32 = 32u / SIZE;
const OWN: u32 = BLOCKS * BLOCKS / PARTS;
// Rows of matrices that the matrices of a part stand in, and matrices of a row of queries.
const DOWNS: u32 = (OWN + BLOCKS - 1u) / BLOCKS;
const DEPTHS: u32 = SLICES * BLOCKS;

// Slices of queries, then the weights of a tile.
var<workgroup> left_tile: array<Element, ROWS * STRIDE>;
// Slices of keys, then of values.
var<workgroup> right_tile: array<Element, KEYS * STRIDE>;
// The scores of a tile, then a slice of weighted values.
var<workgroup> blocks_tile: array<f32, ROWS * KEYS + SURPLUS>;
var<workgroup> turns: array<vec4<u32>, ROWS>;

// Puts a pair of quads of a key or value into its slice; beyond the last there are zeros.
fn put_pair(at: u32, quads: mat2x4<f32>, inside: bool) {
    put_right(at, select(vec4<f32>(), quads[0], inside));
    put_right(at + 4u, select(vec4<f32>(), quads[1], inside));
}

fn block_quad(at: u32) -> vec4<f32> {
    return vec4<f32>(blocks_tile[at], blocks_tile[at + 1u], blocks_tile[at + 2u], blocks_tile[at + 3u]);
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let first_row = workgroup.x * ROWS;
    let kv_head = workgroup.y;
    let split = workgroup.z;
    let part = min(subgroup_of(subgroup, lane), PARTS - 1u);
    let surplus = select(0u, SURPLUS, subgroup_of(subgroup, lane) >= PARTS);
    // The row that this invocation looks after, or a key that it brings, and which quarter of 32 elements.
    let staged = lane / 4u;
    let own = lane % 4u * 8u;
    let put = staged * STRIDE + own;
    let query = row_of(first_row + staged, kv_head) * QUADS;

    // Only loads make a matrix of zeros.
    for (var i = lane; i < SIZE * SIZE; i += 128u) {
        blocks_tile[i] = 0.0;
    }
    var q_own: array<Left, DOWNS * DEPTHS>;
    for (var slice = 0u; slice < SLICES; slice++) {
        let quad = slice * 8u + lane % 4u * 2u;
        let scale = select(params.scale * LOG2_E, 0.0, quad >= QUADS);
        let inside = min(quad, QUADS - 2u);
        workgroupBarrier();
        put_left(put, q[query + inside] * scale);
        put_left(put + 4u, q[query + inside + 1u] * scale);
        workgroupBarrier();
        for (var d = 0u; d < DOWNS; d++) {
            let down = (part * OWN / BLOCKS + d) * SIZE;
            for (var i = 0u; i < BLOCKS; i++) {
                let at = down * STRIDE + i * SIZE;
                q_own[d * DEPTHS + slice * BLOCKS + i] = load_left(at, STRIDE);
            }
        }
    }
    let zeros = load_block(0u, SIZE);

    var sums: array<vec4<f32>, SLICES * 2u>;
    var largest = LEAST;
    var total = 0.0;
    // The first of the slots that have not had their turn.
    var least = 0u;
    // The first part is there in any case, for rows without a slot.
    var worked = split == 0u;
    loop {
        if (lane < ROWS) {
            turns[lane] = turn_of(first_row + lane, least);
        }
        for (var half = ROWS / 2u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if (lane < half) {
                turns[lane] = lower(turns[lane], turns[lane + half]);
            }
        }
        let turn = workgroupUniformLoad(&turns[0]);
        let slot = turn.x;
        let end = turn.y;
        if (slot == NO_SLOT) {
            break;
        }
        least = slot + 1u;
        worked = worked || split * KEYS < end;
        let limit = limit_of(first_row + staged, slot);

        for (var first = split * KEYS; first < end; first += params.splits * KEYS) {
            let position = pairs_of(slot, min(first + staged, end - 1u), kv_head);
            var s: array<Block, OWN>;
            for (var i = 0u; i < OWN; i++) {
                s[i] = zeros;
            }
            for (var slice = 0u; slice < SLICES; slice++) {
                let pair = slice * 4u + lane % 4u;
                let quads = cache_pair(k[position + min(pair, PAIRS - 1u)]);
                workgroupBarrier();
                put_pair(put, quads, pair < PAIRS);
                workgroupBarrier();
                for (var depth = 0u; depth < BLOCKS; depth++) {
                    for (var i = 0u; i < OWN; i++) {
                        let across = (part * OWN + i) % BLOCKS * SIZE;
                        let key = load_right(across * STRIDE + depth * SIZE, STRIDE);
                        s[i] = multiply_matrices(q_own[i / BLOCKS * DEPTHS + slice * BLOCKS + depth], key, s[i]);
                    }
                }
            }
            for (var i = 0u; i < OWN; i++) {
                let block = part * OWN + i;
                store_block(s[i], surplus + block / BLOCKS * SIZE * KEYS + block % BLOCKS * SIZE, KEYS);
            }
            workgroupBarrier();

            var top = largest;
            for (var key = 0u; key < KEYS; key++) {
                top = select(top, max(top, blocks_tile[staged * KEYS + key]), first + key < limit);
            }
            let correction = exp2(largest - top);
            largest = top;
            total *= correction;
            for (var i = 0u; i < 8u; i++) {
                let seen = first + own + i < limit;
                let weight = select(0.0, exp2(blocks_tile[staged * KEYS + own + i] - top), seen);
                left_tile[put + i] = Element(weight);
                total += weight;
            }
            for (var slice = 0u; slice < SLICES; slice++) {
                let pair = slice * 4u + lane % 4u;
                put_pair(put, cache_pair(v[position + min(pair, PAIRS - 1u)]), pair < PAIRS);
                workgroupBarrier();
                for (var i = 0u; i < OWN; i++) {
                    s[i] = zeros;
                    let block = part * OWN + i;
                    for (var depth = 0u; depth < BLOCKS; depth++) {
                        let weights = load_left(block / BLOCKS * SIZE * STRIDE + depth * SIZE, STRIDE);
                        let values = load_right_rows(depth * SIZE * STRIDE + block % BLOCKS * SIZE, STRIDE);
                        s[i] = multiply_matrices(weights, values, s[i]);
                    }
                    store_block(s[i], surplus + block / BLOCKS * SIZE * KEYS + block % BLOCKS * SIZE, KEYS);
                }
                workgroupBarrier();
                let added = staged * KEYS + own;
                sums[slice * 2u] = fma(sums[slice * 2u], vec4<f32>(correction), block_quad(added));
                sums[slice * 2u + 1u] = fma(sums[slice * 2u + 1u], vec4<f32>(correction), block_quad(added + 4u));
            }
        }
    }
    if (!worked) {
        return;
    }

    blocks_tile[lane] = total;
    workgroupBarrier();
    total = 0.0;
    for (var i = 0u; i < 4u; i++) {
        total += blocks_tile[staged * 4u + i];
    }
    let row = first_row + staged;
    if (row < params.tokens * GROUP) {
        let at = split * params.tokens * params.heads + row_of(row, kv_head);
        for (var slice = 0u; slice < SLICES; slice++) {
            let quad = slice * 8u + lane % 4u * 2u;
            if (quad < QUADS) {
                attention_store(at, quad, sums[slice * 2u], largest, total);
                attention_store(at, quad + 1u, sums[slice * 2u + 1u], largest, total);
            }
        }
    }
}
