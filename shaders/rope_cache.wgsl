// Turns queries and keys by their tokens' positions; queries become an output, keys and values go into a paged cache.
//
//   qkv        [tokens, heads + 2 kv_heads, head_dim] f32: heads of queries, of keys, of values
//   positions  [tokens] u32; one beyond the table is cut to it
//   table      [64 + strides, dim] f32: cos, sin of each pair, for positions 0..64 and for multiples of 64
//   q          [tokens, heads, head_dim / 4] quads of f32
//   k, v       [pages, kv_heads, page, head_dim / 4] quads of f32 or f16
//   slots      [tokens] u32, all ones for a token that only fills up the step
//   blocks     [slots, per_slot] u32: the pages of each slot
//
// One invocation: one quad of a head. HALVES = 1 pairs i with i + dim / 2, else 2i with 2i + 1.

struct Params {
    tokens: u32,
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    dim: u32,
    strides: u32,
    page: u32,
    per_slot: u32,
    slots: u32,
    pages: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(2) var<storage, read_write> positions: array<u32>;
@group(0) @binding(3) var<storage, read> table: array<f32>;
@group(0) @binding(4) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> k: array<CacheQuad>;
@group(0) @binding(6) var<storage, read_write> v: array<CacheQuad>;
@group(0) @binding(7) var<storage, read_write> slots: array<u32>;
@group(0) @binding(8) var<storage, read_write> blocks: array<u32>;

// Element i of the head at `base`, turned.
fn turned(base: u32, i: u32, position: u32) -> f32 {
    let own = qkv[base + i];
    if (i >= params.dim) {
        return own;
    }
    let half = params.dim / 2u;
    let second = select(i % 2u == 1u, i >= half, HALVES == 1u);
    let pair = select(i / 2u, i % half, HALVES == 1u);
    let distance = select(1u, half, HALVES == 1u);
    let other = qkv[base + select(i + distance, i - distance, second)];
    let near = (position % 64u) * params.dim + 2u * pair;
    let far = (64u + min(position / 64u, params.strides - 1u)) * params.dim + 2u * pair;
    let cosine = table[near] * table[far] - table[near + 1u] * table[far + 1u];
    let sine = table[near + 1u] * table[far] + table[near] * table[far + 1u];
    return select(own * cosine - other * sine, other * sine + own * cosine, second);
}

fn turned_quad(base: u32, quad: u32, position: u32) -> vec4<f32> {
    let i = quad * 4u;
    return vec4<f32>(
        turned(base, i, position),
        turned(base, i + 1u, position),
        turned(base, i + 2u, position),
        turned(base, i + 3u, position),
    );
}

// Where a token's quads of a head lie in the cache. Whatever the inputs say, within it.
fn cache_place(slot: u32, position: u32, head: u32) -> u32 {
    let block = min(slot, params.slots - 1u) * params.per_slot + min(position / params.page, params.per_slot - 1u);
    let entry = min(blocks[block], params.pages - 1u);
    return ((entry * params.kv_heads + head) * params.page + position % params.page) * (params.head_dim / 4u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.head_dim / 4u;
    let all = params.heads + 2u * params.kv_heads;
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    let quad = i % quads;
    let head = i / quads % all;
    let token = i / quads / all;
    if (token >= params.tokens) {
        return;
    }
    let base = (token * all + head) * params.head_dim;
    let position = positions[token];
    if (head < params.heads) {
        q[(token * params.heads + head) * quads + quad] = turned_quad(base, quad, position);
        return;
    }
    let slot = slots[token];
    if (slot == 0xffffffffu) {
        return;
    }
    if (head < params.heads + params.kv_heads) {
        k[cache_place(slot, position, head - params.heads) + quad] = cache_pack(turned_quad(base, quad, position));
    } else {
        let at = base + quad * 4u;
        let values = vec4<f32>(qkv[at], qkv[at + 1u], qkv[at + 2u], qkv[at + 3u]);
        v[cache_place(slot, position, head - params.heads - params.kv_heads) + quad] = cache_pack(values);
    }
}
