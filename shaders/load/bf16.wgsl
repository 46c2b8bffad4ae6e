// Weights of type BF16: 2 bytes a weight.
//
//   weight_quants  4 x vec4<u32> a group: the values in natural order, two a word, low half first
//
//   weight = the value, which is the upper half of an f32

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;

struct WeightGroup {
    q0: vec4<u32>,
    q1: vec4<u32>,
    q2: vec4<u32>,
    q3: vec4<u32>,
}

fn weight_group(index: u32) -> WeightGroup {
    let at = index * 4u;
    return WeightGroup(weight_quants[at], weight_quants[at + 1u], weight_quants[at + 2u], weight_quants[at + 3u]);
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    let pair = pick_pair(w.q0, w.q1, w.q2, w.q3, i);
    return bitcast<vec4<f32>>(vec4<u32>(pair.x << 16u, pair.x & 0xffff0000u, pair.y << 16u, pair.y & 0xffff0000u));
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return 1.0;
}
