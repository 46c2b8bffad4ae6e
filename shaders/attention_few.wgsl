// out[t, h] = softmax_p(scale * q[t, h] . k[p]) . v[p] over the positions p <= positions[t] of the token's sequence, for
// few tokens.
//
//   k, v       [pages, kv_heads, PAGE, QUADS / 2] pairs of quads of f32 or f16, PAGE a multiple of 4
//   q, out     [tokens, heads, QUADS] quads of f32
//   slots      [tokens] u32, all ones for a token that only fills up the step
//   positions  [tokens] u32
//   blocks     [slots, per_slot] u32: the pages of each slot
//
// One workgroup: one token, HEADS query heads that share one key-value head, and every `splits`th tile of KEYS positions.
// ACROSS lanes share a key and a value, a pair of quads each, and DEEP such groups of lanes run side by side, each with a
// softmax of its own: its largest score and its sum are corrected from tile to tile (Milakov and Gimelshein 2018,
// arXiv:1805.02867). Each lane multiplies its part of all keys of a tile before the group adds these up in workgroup memory.
// At most ACROSS scores of four keys are one lane's each: UNITS * HEADS <= ACROSS.

const LANES: u32 = 64u;
const PAIRS: u32 = QUADS / 2u;
const DEEP: u32 = LANES / ACROSS;
// Each lane scores UNITS times four keys that follow one another, for all heads.
const KEYS: u32 = UNITS * DEEP * 4u;
const SCORES: u32 = UNITS * HEADS;
// Below it no score is told from a masked one, whose weight is then zero.
const LEAST: f32 = -1.7e38;
const LOG2_E: f32 = 1.44269504;
const MASKED: f32 = -3.4e38;

struct Params {
    tokens: u32,
    heads: u32,
    kv_heads: u32,
    per_slot: u32,
    scale: f32,
    slots: u32,
    pages: u32,
    splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> k: array<CachePair>;
@group(0) @binding(2) var<storage, read_write> v: array<CachePair>;
@group(0) @binding(3) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> slots: array<u32>;
@group(0) @binding(5) var<storage, read_write> positions: array<u32>;
@group(0) @binding(6) var<storage, read_write> blocks: array<u32>;

var<workgroup> queries: array<vec4<f32>, HEADS * ACROSS * 2u>;
var<workgroup> partial: array<vec4<f32>, SCORES * LANES>;
var<workgroup> tops: array<f32, DEEP * SCORES>;
var<workgroup> weights: array<vec4<f32>, DEEP * SCORES>;
var<workgroup> count: u32;

// What all groups' largest scores of a head are below.
fn top_of(head: u32) -> f32 {
    var top = LEAST;
    for (var g = 0u; g < DEEP; g++) {
        top = max(top, tops[g * SCORES + head]);
    }
    return top;
}

// One lane's share of a score.
fn share(key: mat2x4<f32>, a: vec4<f32>, b: vec4<f32>) -> f32 {
    let x = fma(key[0].w, a.w, fma(key[0].z, a.z, fma(key[0].y, a.y, key[0].x * a.x)));
    return fma(key[1].w, b.w, fma(key[1].z, b.z, fma(key[1].y, b.y, fma(key[1].x, b.x, x))));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = workgroup.y;
    let head = workgroup.x * HEADS;
    let row = token * params.heads + head;
    let kv_head = head / (params.heads / params.kv_heads);
    let slot = slots[token];
    let own = min(slot, params.slots - 1u) * params.per_slot;
    if (lane == 0u) {
        // Whatever the inputs say, the loop ends and stays within the cache.
        count = select(min(positions[token], params.per_slot * PAGE - 1u) + 1u, 0u, slot == 0xffffffffu);
    }
    // Powers of two are cheaper than those of e, which the scores are brought to. Lanes without a pair score zero.
    for (var i = lane; i < HEADS * ACROSS * 2u; i += LANES) {
        let quad = i / HEADS;
        let value = q[(row + i % HEADS) * QUADS + min(quad, QUADS - 1u)] * (params.scale * LOG2_E);
        queries[i] = select(vec4<f32>(), value, quad < QUADS);
    }
    // The queries are there, too, when all have met here.
    let length = workgroupUniformLoad(&count);
    let last = max(length, 1u) - 1u;
    let part = workgroup.z;
    if (part > 0u && part * KEYS >= length) {
        return;
    }

    let group = lane / ACROSS;
    let across = lane % ACROSS;
    let pair = min(across, PAIRS - 1u);
    // The score that this lane adds up: of which four keys and which head.
    let score = min(across, SCORES - 1u);
    let unit = score / HEADS;

    var largest: array<f32, HEADS>;
    for (var h = 0u; h < HEADS; h++) {
        largest[h] = LEAST;
    }
    var sums: array<vec4<f32>, HEADS * 2u>;
    var total = 0.0;
    var own_largest = LEAST;

    for (var first = part * KEYS; first < length; first += params.splits * KEYS) {
        var rows: array<u32, UNITS>;
        var room: array<u32, UNITS>;
        for (var u = 0u; u < UNITS; u++) {
            let wanted = first + (u * DEEP + group) * 4u;
            let position = min(wanted, last) & 0xfffffffcu;
            let entry = min(blocks[own + position / PAGE], params.pages - 1u);
            rows[u] = ((entry * params.kv_heads + kv_head) * PAGE + position % PAGE) * PAIRS + pair;
            room[u] = last - position;
        }
        for (var u = 0u; u < UNITS; u++) {
            let k0 = cache_pair(k[rows[u]]);
            let k1 = cache_pair(k[rows[u] + min(1u, room[u]) * PAIRS]);
            let k2 = cache_pair(k[rows[u] + min(2u, room[u]) * PAIRS]);
            let k3 = cache_pair(k[rows[u] + min(3u, room[u]) * PAIRS]);
            for (var h = 0u; h < HEADS; h++) {
                let a = queries[across * 2u * HEADS + h];
                let b = queries[across * 2u * HEADS + HEADS + h];
                let s = vec4<f32>(share(k0, a, b), share(k1, a, b), share(k2, a, b), share(k3, a, b));
                partial[(u * HEADS + h) * LANES + lane] = s;
            }
        }
        workgroupBarrier();

        var s = vec4<f32>();
        for (var i = 0u; i < ACROSS; i++) {
            s += partial[score * LANES + group * ACROSS + (i ^ across)];
        }
        let key = vec4<u32>(first + (unit * DEEP + group) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        s = select(vec4<f32>(MASKED), s, key < vec4<u32>(length));
        if (across < SCORES) {
            tops[group * SCORES + score] = max(max(s.x, s.y), max(s.z, s.w));
        }
        workgroupBarrier();

        for (var h = 0u; h < HEADS; h++) {
            var top = largest[h];
            for (var u = 0u; u < UNITS; u++) {
                top = max(top, tops[group * SCORES + u * HEADS + h]);
            }
            let correction = exp2(largest[h] - top);
            largest[h] = top;
            sums[h * 2u] *= correction;
            sums[h * 2u + 1u] *= correction;
        }
        var own_top = own_largest;
        for (var u = 0u; u < UNITS; u++) {
            own_top = max(own_top, tops[group * SCORES + u * HEADS + score % HEADS]);
        }
        let w = exp2(s - own_top);
        total = fma(total, exp2(own_largest - own_top), (w.x + w.y) + (w.z + w.w));
        own_largest = own_top;
        if (across < SCORES) {
            weights[group * SCORES + score] = w;
        }
        workgroupBarrier();

        for (var u = 0u; u < UNITS; u++) {
            let v0 = cache_pair(v[rows[u]]);
            let v1 = cache_pair(v[rows[u] + min(1u, room[u]) * PAIRS]);
            let v2 = cache_pair(v[rows[u] + min(2u, room[u]) * PAIRS]);
            let v3 = cache_pair(v[rows[u] + min(3u, room[u]) * PAIRS]);
            for (var h = 0u; h < HEADS; h++) {
                let w = weights[group * SCORES + u * HEADS + h];
                for (var i = 0u; i < 2u; i++) {
                    let at = h * 2u + i;
                    sums[at] = fma(vec4<f32>(w.x), v0[i], sums[at]);
                    sums[at] = fma(vec4<f32>(w.y), v1[i], sums[at]);
                    sums[at] = fma(vec4<f32>(w.z), v2[i], sums[at]);
                    sums[at] = fma(vec4<f32>(w.w), v3[i], sums[at]);
                }
            }
        }
    }

    // The groups' softmaxes become one.
    if (across == 0u) {
        for (var h = 0u; h < HEADS; h++) {
            tops[group * SCORES + h] = largest[h];
        }
    }
    workgroupBarrier();
    if (across < SCORES) {
        weights[group * SCORES + score].x = total * exp2(own_largest - top_of(score % HEADS));
    }
    for (var h = 0u; h < HEADS; h++) {
        let top = top_of(h);
        let correction = exp2(largest[h] - top);
        partial[lane] = sums[h * 2u] * correction;
        partial[LANES + lane] = sums[h * 2u + 1u] * correction;
        workgroupBarrier();
        if (lane < QUADS) {
            var sum = vec4<f32>();
            var weight = 0.0;
            for (var g = 0u; g < DEEP; g++) {
                sum += partial[lane % 2u * LANES + g * ACROSS + lane / 2u];
                for (var u = 0u; u < UNITS; u++) {
                    weight += weights[g * SCORES + u * HEADS + h].x;
                }
            }
            attention_store(part * params.tokens * params.heads + row + h, lane, sum, top, weight);
        }
        workgroupBarrier();
    }
}
