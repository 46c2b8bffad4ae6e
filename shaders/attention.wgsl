// out[t, h] = softmax_p(scale * q[t, h] . k[p]) . v[p] over the positions p <= positions[t] of the token's sequence.
//
//   k, v       [pages, kv_heads, PAGE, QUADS] quads of f32 or f16
//   q, out     [tokens, heads, QUADS] quads of f32
//   slots      [tokens] u32, all ones for a token that only fills up the step
//   positions  [tokens] u32
//   blocks     [slots, per_slot] u32: the pages of each slot
//
// One workgroup: one token and HEADS query heads that share one key-value head. Positions pass in tiles of 64: each
// invocation scores one position for all HEADS, then the tile's weights are shared and each invocation adds up some
// quads of the output. The softmax is kept running: its largest score and its sum are corrected from tile to tile
// (Milakov and Gimelshein 2018, arXiv:1805.02867).

const LANES: u32 = 64u;
// Output quads of each invocation.
const OWN: u32 = (HEADS * QUADS + LANES - 1u) / LANES;

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

var<workgroup> queries: array<vec4<f32>, HEADS * QUADS>;
var<workgroup> weights: array<f32, HEADS * LANES>;
var<workgroup> rows: array<u32, LANES>;
// Of each head: the largest score so far, the sum of weights, and the factor that corrects what came before.
var<workgroup> largest: array<f32, HEADS>;
var<workgroup> total: array<f32, HEADS>;
var<workgroup> correction: array<f32, HEADS>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = workgroup.y;
    let head = workgroup.x * HEADS;
    let base = (token * params.heads + head) * QUADS;
    let slot = slots[token];
    let idle = slot == 0xffffffffu;
    let own = min(slot, params.slots - 1u) * params.per_slot;
    // Whatever the inputs say, the loop ends and stays within the cache.
    let length = select(min(positions[token], params.per_slot * PAGE - 1u) + 1u, 0u, idle);
    let kv_head = head / (params.heads / params.kv_heads);

    for (var i = lane; i < HEADS * QUADS; i += LANES) {
        queries[i] = q[base + i] * params.scale;
    }
    if (lane < HEADS) {
        largest[lane] = -3.4e38;
        total[lane] = 0.0;
    }
    var sums: array<vec4<f32>, OWN>;
    workgroupBarrier();

    for (var first = 0u; first < length; first += LANES) {
        let position = first + lane;
        let inside = position < length;
        if (inside) {
            let entry = min(blocks[own + position / PAGE], params.pages - 1u);
            let row = ((entry * params.kv_heads + kv_head) * PAGE + position % PAGE) * QUADS;
            rows[lane] = row;
            var scores: array<vec4<f32>, HEADS>;
            for (var i = 0u; i < QUADS; i++) {
                let key = cache_unpack(k[row + i]);
                for (var h = 0u; h < HEADS; h++) {
                    scores[h] = fma(queries[h * QUADS + i], key, scores[h]);
                }
            }
            for (var h = 0u; h < HEADS; h++) {
                weights[h * LANES + lane] = (scores[h].x + scores[h].y) + (scores[h].z + scores[h].w);
            }
        }
        workgroupBarrier();

        let count = min(LANES, length - first);
        if (lane < HEADS) {
            let at = lane * LANES;
            var top = largest[lane];
            for (var p = 0u; p < count; p++) {
                top = max(top, weights[at + p]);
            }
            correction[lane] = exp(largest[lane] - top);
            largest[lane] = top;
        }
        workgroupBarrier();

        if (inside) {
            for (var h = 0u; h < HEADS; h++) {
                weights[h * LANES + lane] = exp(weights[h * LANES + lane] - largest[h]);
            }
        }
        workgroupBarrier();

        if (lane < HEADS) {
            var sum = 0.0;
            for (var p = 0u; p < count; p++) {
                sum += weights[lane * LANES + p];
            }
            total[lane] = fma(total[lane], correction[lane], sum);
        }
        for (var o = 0u; o < OWN; o++) {
            let i = o * LANES + lane;
            if (i < HEADS * QUADS) {
                let h = i / QUADS;
                var sum = sums[o] * correction[h];
                for (var p = 0u; p < count; p++) {
                    sum = fma(vec4<f32>(weights[h * LANES + p]), cache_unpack(v[rows[p] + i % QUADS]), sum);
                }
                sums[o] = sum;
            }
        }
        workgroupBarrier();
    }

    for (var o = 0u; o < OWN; o++) {
        let i = o * LANES + lane;
        if (i < HEADS * QUADS) {
            out[base + i] = select(sums[o] / total[i / QUADS], vec4<f32>(), idle);
        }
    }
}
