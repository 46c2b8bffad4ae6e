// The rows of attention of many tokens, in workgroups of ROWS of them, and whose turn it is.
//
//   k, v       [pages, kv_heads, PAGE, QUADS / 2] pairs of quads of f32 or f16
//   q, out     [tokens, heads, QUADS] quads of f32
//   slots      [tokens] u32, all ones for a token that only fills up the step
//   positions  [tokens] u32
//   blocks     [slots, per_slot] u32: the pages of each slot
//
// A row is a token and one of the GROUP heads that share a key-value head. Where the rows of a workgroup belong to several sequences,
// these take turns, the lowest slot first.

const PAIRS: u32 = QUADS / 2u;
const NO_SLOT: u32 = 0xffffffffu;
const LOG2_E: f32 = 1.44269504;
// Below it no score is told from a masked one, whose weight is then zero.
const LEAST: f32 = -1.7e38;

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

// The token of a row of the workgroup's key-value head.
fn token_of(row: u32) -> u32 {
    return min(row / GROUP, params.tokens - 1u);
}

// Where a row is in `q` and `out`.
fn row_of(row: u32, kv_head: u32) -> u32 {
    return token_of(row) * params.heads + kv_head * GROUP + row % GROUP;
}

// How many positions a token attends to. Whatever the inputs say, loops end and stay within the cache.
fn length_of(token: u32) -> u32 {
    return min(positions[token], params.per_slot * PAGE - 1u) + 1u;
}

// How many positions of the sequence `slot` a row attends to.
fn limit_of(row: u32, slot: u32) -> u32 {
    let token = token_of(row);
    return select(0u, length_of(token), slots[token] == slot && row < params.tokens * GROUP);
}

// The first pair of a position's key or value.
fn pairs_of(slot: u32, position: u32, kv_head: u32) -> u32 {
    let block = blocks[min(slot, params.slots - 1u) * params.per_slot + position / PAGE];
    return ((min(block, params.pages - 1u) * params.kv_heads + kv_head) * PAGE + position % PAGE) * PAIRS;
}

// A row's sequence, if the slots below `least` have had their turn: its slot, how many positions the row attends to, and the same for
// what all rows have in common, which rows without a slot do not restrict.
fn turn_of(row: u32, least: u32) -> vec4<u32> {
    let token = token_of(row);
    let length = length_of(token);
    let is_row = row < params.tokens * GROUP && slots[token] != NO_SLOT;
    let waits = is_row && slots[token] >= least;
    return vec4<u32>(select(NO_SLOT, slots[token], waits), length, select(NO_SLOT, select(0u, length, waits), is_row), 0u);
}

// Of two sequences, each a slot and how many positions its tokens attend to at most, that with the lower slot; then how many positions
// all rows attend to, which is none where there are rows of others.
fn lower(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let first = select(b, a, a.x < b.x);
    let other = max(a.x, b.x);
    let seen = select(min(a.z, b.z), 0u, a.x != b.x && other != NO_SLOT);
    return vec4<u32>(first.x, select(first.y, max(a.y, b.y), a.x == b.x), seen, 0u);
}
