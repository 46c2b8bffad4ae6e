// Joins the parts of attention that workgroups computed for different positions: softmaxes with sums of their own become
// one (Dao et al. 2023, https://crfm.stanford.edu/2023/10/12/flashdecoding.html).
//
//   sums       [splits, tokens, heads, QUADS] quads of f32: weighted sums of values
//   parts      [splits, tokens, heads] the largest score in units of log 2, and the sum of weights
//   slots      [tokens] u32, all ones for a token that only fills up the step
//   positions  [tokens] u32
//   out        [tokens, heads, QUADS] quads of f32
//
// One invocation: one quad of the output. A token with few positions has fewer parts than `splits`: a part takes a tile of
// `keys` positions before any takes its second. A token without a slot has part 0, whose sums are zero.

struct Params {
    tokens: u32,
    heads: u32,
    splits: u32,
    keys: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> parts: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> slots: array<u32>;
@group(0) @binding(4) var<storage, read_write> positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.tokens * params.heads;
    let index = linear_workgroup(workgroup, workgroups) * 64u + lane;
    if (index >= rows * QUADS) {
        return;
    }
    let row = index / QUADS;
    let token = row / params.heads;
    let tiles = select(positions[token] / params.keys + 1u, 1u, slots[token] == 0xffffffffu);
    let count = min(params.splits, tiles);
    var largest = parts[row].x;
    for (var part = 1u; part < count; part++) {
        largest = max(largest, parts[part * rows + row].x);
    }
    var sum = vec4<f32>();
    var total = 0.0;
    for (var part = 0u; part < count; part++) {
        let at = part * rows + row;
        let own = parts[at];
        let correction = exp2(own.x - largest);
        sum = fma(sums[part * rows * QUADS + index], vec4<f32>(correction), sum);
        total = fma(own.y, correction, total);
    }
    out[index] = select(sum / total, vec4<f32>(), total == 0.0);
}
