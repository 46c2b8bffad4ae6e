// out[t, h] = softmax_p(scale * q[t, h] . k[p]) . v[p] over the positions p <= positions[t] of the token's sequence, for
// many tokens.
//
//   operands   see attention/turns.wgsl
//
// One workgroup: 64 query rows of one key-value head and every `splits`th tile of 64 positions. Lanes stand 16 x 16: each
// makes the scores of 4 rows and 4 keys from slices of 32 elements in workgroup memory, then adds up OWN quads of 4 rows from weights
// and values there. The softmax is kept running: its largest score and its sum are corrected from tile
// to tile (Milakov and Gimelshein 2018, arXiv:1805.02867).

const ROWS: u32 = 64u;
const KEYS: u32 = 64u;
const SLICES: u32 = (QUADS + 7u) / 8u;
const OWN: u32 = (QUADS + 15u) / 16u;
// The second half of workgroup memory: queries, then the rows' largest scores, then values.
const SECOND: u32 = 512u;
const MASKED: f32 = -3.4e38;

// First the keys, then the weights of half a tile; from SECOND on what is said there. Words, since slots are no floats.
var<workgroup> tile: array<vec4<u32>, 1024>;

fn hold(at: u32, value: vec4<f32>) {
    tile[at] = bitcast<vec4<u32>>(value);
}

fn held(at: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(tile[at]);
}

// Adds the products of a quad of a key with those of four queries.
fn scores(s: vec4<f32>, key: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    var sum = fma(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(key.x), s);
    sum = fma(vec4<f32>(a.y, b.y, c.y, d.y), vec4<f32>(key.y), sum);
    sum = fma(vec4<f32>(a.z, b.z, c.z, d.z), vec4<f32>(key.z), sum);
    return fma(vec4<f32>(a.w, b.w, c.w, d.w), vec4<f32>(key.w), sum);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = workgroup.x * ROWS;
    let kv_head = workgroup.y;
    let part = workgroup.z;
    let across = lane % 16u;
    let down = lane / 16u;
    // What this lane brings to workgroup memory of each slice: a pair of a key and of a query.
    let staged = lane / 4u;
    let pair = lane % 4u;
    let query = row_of(first_row + staged, kv_head) * QUADS;

    var sums: array<vec4<f32>, OWN * 4u>;
    var largest = vec4<f32>(LEAST);
    var total = vec4<f32>();
    // The first of the slots that have not had their turn.
    var least = 0u;
    // The first part is there in any case, for rows without a slot.
    var worked = part == 0u;
    loop {
        if (lane < ROWS) {
            tile[lane] = turn_of(first_row + lane, least);
        }
        for (var half = ROWS / 2u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if (lane < half) {
                tile[lane] = lower(tile[lane], tile[lane + half]);
            }
        }
        let turn = workgroupUniformLoad(&tile[0]);
        let slot = turn.x;
        let end = turn.y;
        let seen_by_all = turn.z;
        if (slot == NO_SLOT) {
            break;
        }
        least = slot + 1u;
        worked = worked || part * KEYS < end;
        let row = first_row + down * 4u;
        let limits = vec4<u32>(limit_of(row, slot), limit_of(row + 1u, slot), limit_of(row + 2u, slot), limit_of(row + 3u, slot));

        for (var first = part * KEYS; first < end; first += params.splits * KEYS) {
            let key = pairs_of(slot, min(first + staged, end - 1u), kv_head);
            var s: array<vec4<f32>, 4>;
            for (var slice = 0u; slice < SLICES; slice++) {
                let at = slice * 4u + pair;
                let inside = min(at, PAIRS - 1u);
                let quads = cache_pair(k[key + inside]);
                let scale = select(params.scale * LOG2_E, 0.0, at >= PAIRS);
                let q0 = q[query + inside * 2u] * scale;
                let q1 = q[query + inside * 2u + 1u] * scale;
                // Turned by the pair, so that neighbouring lanes write to different banks.
                let stage = pair * 2u * ROWS + (staged ^ (pair * 2u));
                workgroupBarrier();
                hold(stage, quads[0]);
                hold(stage + KEYS, quads[1]);
                hold(SECOND + stage, q0);
                hold(SECOND + stage + ROWS, q1);
                workgroupBarrier();
                for (var quad = 0u; quad < 8u; quad++) {
                    let turned = quad & 6u;
                    let rows = SECOND + quad * ROWS;
                    let a = held(rows + ((down * 4u) ^ turned));
                    let b = held(rows + ((down * 4u + 1u) ^ turned));
                    let c = held(rows + ((down * 4u + 2u) ^ turned));
                    let d = held(rows + ((down * 4u + 3u) ^ turned));
                    for (var j = 0u; j < 4u; j++) {
                        s[j] = scores(s[j], held(quad * KEYS + j * 16u + (across ^ turned)), a, b, c, d);
                    }
                }
            }

            for (var j = 0u; j < 4u; j++) {
                s[j] = select(vec4<f32>(MASKED), s[j], vec4<u32>(first + j * 16u + across) < limits);
            }
            workgroupBarrier();
            hold(SECOND + lane, max(max(s[0], s[1]), max(s[2], s[3])));
            workgroupBarrier();
            var top = largest;
            for (var i = 0u; i < 16u; i++) {
                top = max(top, held(SECOND + down * 16u + i));
            }
            let correction = exp2(largest - top);
            largest = top;
            for (var j = 0u; j < 4u; j++) {
                s[j] = exp2(s[j] - top);
            }
            total = fma(total, correction, (s[0] + s[1]) + (s[2] + s[3]));
            for (var o = 0u; o < OWN; o++) {
                sums[o * 4u] *= correction.x;
                sums[o * 4u + 1u] *= correction.y;
                sums[o * 4u + 2u] *= correction.z;
                sums[o * 4u + 3u] *= correction.w;
            }

            for (var half = 0u; half < KEYS; half += 32u) {
                hold(across * 16u + down, s[0]);
                hold(across * 16u + 256u + down, s[1]);
                s[0] = s[2];
                s[1] = s[3];
                for (var chunk = 0u; chunk < 32u; chunk += CHUNK) {
                    let value = pairs_of(slot, min(first + half + chunk + lane / PAIRS, end - 1u), kv_head) + lane % PAIRS;
                    let quads = cache_pair(v[value]);
                    workgroupBarrier();
                    if (lane < CHUNK * PAIRS) {
                        hold(SECOND + lane * 2u, quads[0]);
                        hold(SECOND + lane * 2u + 1u, quads[1]);
                    }
                    workgroupBarrier();
                    let position = first + half + chunk;
                    if (position + CHUNK <= seen_by_all) {
                        for (var i = 0u; i < CHUNK; i++) {
                            let weight = held((chunk + i) * 16u + down);
                            for (var o = 0u; o < OWN; o++) {
                                let value = held(SECOND + i * QUADS + min(o * 16u + across, QUADS - 1u));
                                sums[o * 4u] = fma(vec4<f32>(weight.x), value, sums[o * 4u]);
                                sums[o * 4u + 1u] = fma(vec4<f32>(weight.y), value, sums[o * 4u + 1u]);
                                sums[o * 4u + 2u] = fma(vec4<f32>(weight.z), value, sums[o * 4u + 2u]);
                                sums[o * 4u + 3u] = fma(vec4<f32>(weight.w), value, sums[o * 4u + 3u]);
                            }
                        }
                        continue;
                    }
                    // A weight of zero does not hide a value that is infinite or no number from a row that may not see it.
                    for (var i = 0u; i < CHUNK; i++) {
                        let weight = held((chunk + i) * 16u + down);
                        let seen = vec4<u32>(position + i) < limits;
                        for (var o = 0u; o < OWN; o++) {
                            let value = held(SECOND + i * QUADS + min(o * 16u + across, QUADS - 1u));
                            let none = vec4<f32>();
                            sums[o * 4u] = fma(vec4<f32>(weight.x), select(none, value, seen.x), sums[o * 4u]);
                            sums[o * 4u + 1u] = fma(vec4<f32>(weight.y), select(none, value, seen.y), sums[o * 4u + 1u]);
                            sums[o * 4u + 2u] = fma(vec4<f32>(weight.z), select(none, value, seen.z), sums[o * 4u + 2u]);
                            sums[o * 4u + 3u] = fma(vec4<f32>(weight.w), select(none, value, seen.w), sums[o * 4u + 3u]);
                        }
                    }
                }
                workgroupBarrier();
            }
        }
    }
    if (!worked) {
        return;
    }

    hold(lane, total);
    workgroupBarrier();
    total = vec4<f32>();
    for (var i = 0u; i < 16u; i++) {
        total += held(down * 16u + i);
    }
    for (var i = 0u; i < 4u; i++) {
        let row = first_row + down * 4u + i;
        if (row < params.tokens * GROUP) {
            for (var o = 0u; o < OWN; o++) {
                let quad = o * 16u + across;
                if (quad < QUADS) {
                    let at = part * params.tokens * params.heads + row_of(row, kv_head);
                    attention_store(at, quad, sums[o * 4u + i], largest[i], total[i]);
                }
            }
        }
    }
}
