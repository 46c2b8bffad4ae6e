// out[t, h] = softmax_p(scale * q[t, h] . k[p]) . v[p] over the positions p <= positions[t] of the token's sequence, for
// devices that run few lanes, load for one lane after another and have integers of 64 bits.
//
//   k, v       [pages, kv_heads, PAGE, RUNS] runs of four words of 64 bits, which a provider takes apart; PAGE a multiple of 8
//   q, out     [tokens, heads, QUADS] quads of f32, QUADS a multiple of 8
//   slots      [tokens] u32, all ones for a token that only fills up the step
//   positions  [tokens] u32
//   blocks     [slots, per_slot] u32: the pages of each slot
//
// One workgroup: a token and the GROUP heads of a key-value head, its 8 lanes in one subgroup. A lane has every eighth position to
// itself and keeps a softmax running over these (Milakov and Gimelshein 2018, arXiv:1805.02867); the eight are joined in the end.

// Runs of a key.
const RUNS: u32 = QUADS / RUN;

alias Head = array<array<vec4<f32>, RUN>, RUNS>;

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
@group(0) @binding(1) var<storage, read_write> k: array<vec4<u64>>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4<u64>>;
@group(0) @binding(3) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> slots: array<u32>;
@group(0) @binding(5) var<storage, read_write> positions: array<u32>;
@group(0) @binding(6) var<storage, read_write> blocks: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>;

// The sum over all lanes.
fn joined(lane: u32, own: vec4<f32>) -> vec4<f32> {
    var sum = own + subgroupShuffle(own, lane ^ 1u);
    sum += subgroupShuffle(sum, lane ^ 2u);
    return sum + subgroupShuffle(sum, lane ^ 4u);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let token = workgroup.x;
    let base = (token * params.heads + workgroup.y * GROUP) * QUADS;
    let slot = slots[token];
    let idle = slot == 0xffffffffu;
    let own_blocks = min(slot, params.slots - 1u) * params.per_slot;
    // Whatever the inputs say, the loop ends and stays within the cache.
    let length = select(min(positions[token], params.per_slot * PAGE - 1u) + 1u, 0u, idle);

    // Loops count what they index: where one cannot be undone, compilers put an array into memory. Each lane loads an eighth of the
    // queries and hands it round.
    var queries: array<Head, GROUP>;
    for (var h = 0u; h < GROUP; h++) {
        var own = vec4<f32>();
        for (var r = 0u; r < RUNS; r++) {
            for (var i = 0u; i < RUN; i++) {
                let quad = r * RUN + i;
                if (quad % 8u == 0u) {
                    own = q[base + h * QUADS + quad + lane] * params.scale;
                }
                queries[h][r][i] = subgroupShuffle(own, quad % 8u);
            }
        }
    }
    var sums: array<Head, GROUP>;
    var largest: array<f32, GROUP>;
    var total: array<f32, GROUP>;
    for (var h = 0u; h < GROUP; h++) {
        largest[h] = -3.4e38;
    }

    // Eight positions lie in one page.
    for (var position = lane; position < length; position += 8u) {
        let entry = min(blocks[own_blocks + position / PAGE], params.pages - 1u);
        let at = ((entry * params.kv_heads + workgroup.y) * PAGE + position % PAGE) * RUNS;
        var scores: array<vec4<f32>, GROUP>;
        for (var r = 0u; r < RUNS; r++) {
            let keys = run_quads(k[at + r]);
            for (var i = 0u; i < RUN; i++) {
                for (var h = 0u; h < GROUP; h++) {
                    scores[h] = fma(queries[h][r][i], keys[i], scores[h]);
                }
            }
        }
        var weights: array<f32, GROUP>;
        var corrections: array<f32, GROUP>;
        for (var h = 0u; h < GROUP; h++) {
            let score = (scores[h].x + scores[h].y) + (scores[h].z + scores[h].w);
            let top = max(largest[h], score);
            corrections[h] = exp(largest[h] - top);
            weights[h] = exp(score - top);
            largest[h] = top;
            total[h] = fma(total[h], corrections[h], weights[h]);
        }
        for (var r = 0u; r < RUNS; r++) {
            let values = run_quads(v[at + r]);
            for (var i = 0u; i < RUN; i++) {
                for (var h = 0u; h < GROUP; h++) {
                    sums[h][r][i] = fma(vec4<f32>(weights[h]), values[i], sums[h][r][i] * corrections[h]);
                }
            }
        }
    }

    for (var h = 0u; h < GROUP; h++) {
        // A lane without positions has no sums, and weights of zero.
        let correction = exp(largest[h] - subgroupMax(largest[h]));
        let all = subgroupAdd(total[h] * correction);
        var mine = vec4<f32>();
        for (var r = 0u; r < RUNS; r++) {
            for (var i = 0u; i < RUN; i++) {
                let quad = r * RUN + i;
                mine = select(mine, joined(lane, sums[h][r][i] * correction), lane == quad % 8u);
                if (quad % 8u == 7u) {
                    out[base + h * QUADS + quad - 7u + lane] = select(mine / all, vec4<f32>(), idle);
                }
            }
        }
    }
}
