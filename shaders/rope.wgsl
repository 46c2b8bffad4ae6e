// Turns the first `dim` elements of each head by the token's position; the rest is copied.
//
//   x, out     [tokens, columns] f32, columns a multiple of head_dim
//   positions  [tokens] u32; one beyond the table is cut to it
//   table      [64 + strides, dim] f32: cos, sin of each pair, for positions 0..64 and for multiples of 64
//
// One invocation: one pair that is turned, or two neighbours that are not. HALVES = 1 pairs i with i + dim / 2, else
// 2i with 2i + 1.

struct Params {
    tokens: u32,
    columns: u32,
    head_dim: u32,
    dim: u32,
    strides: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> positions: array<u32>;
@group(0) @binding(3) var<storage, read> table: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

fn copy(head: u32, i: u32) {
    if (i < params.head_dim) {
        out[head + i] = x[head + i];
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pairs = (params.head_dim + 1u) / 2u;
    let heads = params.columns / params.head_dim;
    let index = linear_workgroup(workgroup, grid) * 64u + lane;
    let head = index / pairs;
    if (head >= params.tokens * heads) {
        return;
    }
    let base = head * params.head_dim;
    let i = index % pairs;
    let turned = params.dim / 2u;
    if (i >= turned) {
        copy(base, 2u * i);
        copy(base, 2u * i + 1u);
        return;
    }
    let position = positions[head / heads];
    let near = (position % 64u) * params.dim + 2u * i;
    let far = (64u + min(position / 64u, params.strides - 1u)) * params.dim + 2u * i;
    let cosine = table[near] * table[far] - table[near + 1u] * table[far + 1u];
    let sine = table[near + 1u] * table[far] + table[near] * table[far + 1u];
    let a = base + select(2u * i, i, HALVES == 1u);
    let b = select(a + 1u, a + turned, HALVES == 1u);
    let xa = x[a];
    let xb = x[b];
    out[a] = xa * cosine - xb * sine;
    out[b] = xa * sine + xb * cosine;
}
