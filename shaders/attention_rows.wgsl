// out[t, h] = softmax_p(scale * q[t, h] . k[p]) . v[p] over the positions p <= positions[t] of the token's sequence, for
// devices that run few lanes and pay for barriers; every subgroup has at least 8 lanes.
//
//   k, v       [pages, kv_heads, PAGE, QUADS] quads of f32 or f16, QUADS a multiple of 8
//   q, out     [tokens, heads, QUADS] quads of f32
//   slots      [tokens] u32, all ones for a token that only fills up the step
//   positions  [tokens] u32
//   blocks     [slots, per_slot] u32: the pages of each slot
//
// One workgroup: 8 query rows of one key-value head, one a lane; a row is a token and one of the GROUP heads that share
// the key-value head. Keys and values are loaded once for all lanes, a quad by each, and handed round. Lanes of one
// sequence work together; where the 8 rows belong to several, these take turns. The softmax is kept running, and what
// came before is corrected only when some lane finds a larger score.

struct Params {
    tokens: u32,
    heads: u32,
    kv_heads: u32,
    per_slot: u32,
    scale: f32,
    slots: u32,
    pages: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> k: array<CacheQuad>;
@group(0) @binding(2) var<storage, read_write> v: array<CacheQuad>;
@group(0) @binding(3) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> slots: array<u32>;
@group(0) @binding(5) var<storage, read_write> positions: array<u32>;
@group(0) @binding(6) var<storage, read_write> blocks: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>;

const NO_SLOT: u32 = 0xffffffffu;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let row = workgroup.x * 8u + lane;
    let inside = row < params.tokens * GROUP;
    let token = min(row / GROUP, params.tokens - 1u);
    let base = (token * params.heads + workgroup.y * GROUP + row % GROUP) * QUADS;
    let slot = select(NO_SLOT, slots[token], inside);
    // Whatever the inputs say, the loop ends and stays within the cache.
    let length = min(positions[token], params.per_slot * PAGE - 1u) + 1u;

    var query: array<vec4<f32>, QUADS>;
    var sums: array<vec4<f32>, QUADS>;
    for (var i = 0u; i < QUADS; i++) {
        query[i] = q[base + i] * params.scale;
    }
    var largest = -3.4e38;
    var total = 0.0;

    var waiting = slot;
    loop {
        let turn = subgroupMin(waiting);
        if (turn == NO_SLOT) {
            break;
        }
        let mine = slot == turn;
        let end = subgroupMax(select(0u, length, mine));
        for (var position = 0u; position < end; position++) {
            let block = min(turn, params.slots - 1u) * params.per_slot + position / PAGE;
            let entry = min(blocks[block], params.pages - 1u);
            let at = ((entry * params.kv_heads + workgroup.y) * PAGE + position % PAGE) * QUADS;
            var s = vec4<f32>();
            for (var i = 0u; i < QUADS; i += 8u) {
                let own = cache_unpack(k[at + i + lane]);
                s = fma(query[i], subgroupBroadcast(own, 0u), s);
                s = fma(query[i + 1u], subgroupBroadcast(own, 1u), s);
                s = fma(query[i + 2u], subgroupBroadcast(own, 2u), s);
                s = fma(query[i + 3u], subgroupBroadcast(own, 3u), s);
                s = fma(query[i + 4u], subgroupBroadcast(own, 4u), s);
                s = fma(query[i + 5u], subgroupBroadcast(own, 5u), s);
                s = fma(query[i + 6u], subgroupBroadcast(own, 6u), s);
                s = fma(query[i + 7u], subgroupBroadcast(own, 7u), s);
            }
            // A lane that does not attend here has a score below all others, and so the weight zero.
            let attends = mine && position < length;
            let score = select(-3.4e38, (s.x + s.y) + (s.z + s.w), attends);
            if (subgroupAny(score > largest)) {
                let top = max(largest, score);
                let correction = exp(largest - top);
                largest = top;
                total *= correction;
                for (var i = 0u; i < QUADS; i++) {
                    sums[i] *= correction;
                }
            }
            let weight = select(0.0, exp(score - largest), attends);
            total += weight;
            if (subgroupAll(attends || slot == NO_SLOT)) {
                for (var i = 0u; i < QUADS; i += 8u) {
                    let own = cache_unpack(v[at + i + lane]);
                    sums[i] = fma(vec4<f32>(weight), subgroupBroadcast(own, 0u), sums[i]);
                    sums[i + 1u] = fma(vec4<f32>(weight), subgroupBroadcast(own, 1u), sums[i + 1u]);
                    sums[i + 2u] = fma(vec4<f32>(weight), subgroupBroadcast(own, 2u), sums[i + 2u]);
                    sums[i + 3u] = fma(vec4<f32>(weight), subgroupBroadcast(own, 3u), sums[i + 3u]);
                    sums[i + 4u] = fma(vec4<f32>(weight), subgroupBroadcast(own, 4u), sums[i + 4u]);
                    sums[i + 5u] = fma(vec4<f32>(weight), subgroupBroadcast(own, 5u), sums[i + 5u]);
                    sums[i + 6u] = fma(vec4<f32>(weight), subgroupBroadcast(own, 6u), sums[i + 6u]);
                    sums[i + 7u] = fma(vec4<f32>(weight), subgroupBroadcast(own, 7u), sums[i + 7u]);
                }
            } else {
                // A weight of zero would not hide what is infinite or no number from lanes that do not attend here.
                for (var i = 0u; i < QUADS; i++) {
                    let value = cache_unpack(v[at + i]);
                    sums[i] = select(sums[i], fma(vec4<f32>(weight), value, sums[i]), attends);
                }
            }
        }
        waiting = select(waiting, NO_SLOT, mine);
    }

    if (inside) {
        for (var i = 0u; i < QUADS; i++) {
            out[base + i] = select(vec4<f32>(), sums[i] / total, slot != NO_SLOT);
        }
    }
}
