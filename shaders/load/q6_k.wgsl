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

// The word of d, and that of both groups' bytes.
alias PairScales = vec2<u32>;

fn pair_scales(pair: u32) -> PairScales {
    let at = (pair >> 2u) * 5u;
    return PairScales(weight_scales[at], weight_scales[at + 1u + (pair & 3u)]);
}

fn pair_group(scales: PairScales, index: u32, i: u32) -> WeightGroup {
    let factors = unpack2x16float(scales.x).x * vec2<f32>(unpack4xI8(half_word(scales.y, i)).xy);
    return WeightGroup(weight_quants[index], weight_high[index], factors);
}

fn weight_group(index: u32) -> WeightGroup {
    return pair_group(pair_scales(index >> 1u), index, index & 1u);
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return quad_u4(w.quants, i) | quad_u2_above(w.high, i);
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return quad_to_f32(code_bytes(w, i)) - 32.0;
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return w.scales[half];
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return w.scales[half] * f32(products - 32 * bytes);
}
