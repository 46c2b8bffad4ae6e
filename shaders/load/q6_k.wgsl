// Weights of type Q6_K: 0.828 bytes a weight.
//
//   weight_quants  vec4<u32> a group: bits 0..4 of the codes q
//   weight_scales  five words a super-block of 8 groups: f16 d, then a signed byte for every 16 weights: scale
//   weight_high    vec2<u32> a group: bits 4 and 5 of the codes
//
//   weight = (d * scale) * (q - 32)

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;
@group(1) @binding(2) var<storage, read> weight_high: array<vec2<u32>>;

// Element h of `scales` belongs to weights 16h..16h+16.
struct WeightGroup {
    quants: vec4<u32>,
    high: vec2<u32>,
    scales: vec2<f32>,
}

fn weight_group(index: u32) -> WeightGroup {
    let at = (index >> 3u) * 5u;
    let d = unpack2x16float(weight_scales[at]).x;
    let scales = unpack4xI8(half_word(weight_scales[at + 1u + ((index & 7u) >> 1u)], index)).xy;
    return WeightGroup(weight_quants[index], weight_high[index], d * vec2<f32>(scales));
}

fn weight_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return w.scales[i >> 2u] * (quad_to_f32(quad_u4(w.quants, i) | (quad_u2(w.high, i) << 4u)) - 32.0);
}
