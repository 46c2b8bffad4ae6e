// Stores each token's keys or values at its position of a paged cache.
//
//   cache      [pages, heads, page, quads] quads of f32 or f16
//   x          [tokens, heads, quads] quads of f32
//   slots      [tokens] u32, all ones for a token that only fills up the step
//   positions  [tokens] u32
//   blocks     [slots, per_slot] u32: the pages of each slot
//
// One invocation: one quad.

struct Params {
    tokens: u32,
    heads: u32,
    page: u32,
    quads: u32,
    per_slot: u32,
    slots: u32,
    pages: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> cache: array<CacheQuad>;
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> slots: array<u32>;
@group(0) @binding(4) var<storage, read_write> positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> blocks: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    let head = i / params.quads;
    let token = head / params.heads;
    if (token >= params.tokens) {
        return;
    }
    let slot = slots[token];
    if (slot == 0xffffffffu) {
        return;
    }
    let position = positions[token];
    // Whatever the inputs say, the place lies within the cache.
    let block = min(slot, params.slots - 1u) * params.per_slot + min(position / params.page, params.per_slot - 1u);
    let entry = min(blocks[block], params.pages - 1u);
    let row = (entry * params.heads + head % params.heads) * params.page + position % params.page;
    cache[row * params.quads + i % params.quads] = cache_pack(x[i]);
}
