// Weights of type Q5_0: 0.6875 bytes a weight.
//
//   weight_quants  vec4<u32> a group: bits 0..4 of the codes q
//   weight_scales  half a word a group: f16 d
//   weight_high    one word a group: bit 4 of the codes
//
//   weight = d * (q - 16)

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;
@group(1) @binding(2) var<storage, read> weight_high: array<u32>;

struct WeightGroup {
    quants: vec4<u32>,
    high: u32,
    d: f32,
}

alias PairScales = u32;

fn pair_scales(pair: u32) -> PairScales {
    return weight_scales[pair];
}

fn pair_group(scales: PairScales, index: u32, i: u32) -> WeightGroup {
    return WeightGroup(weight_quants[index], weight_high[index], half_at(scales, i));
}

fn weight_group(index: u32) -> WeightGroup {
    return pair_group(pair_scales(index >> 1u), index, index & 1u);
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return quad_u4(w.quants, i) | quad_u1_above(w.high, i);
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return quad_to_f32(code_bytes(w, i)) - 16.0;
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return w.d;
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return w.d * f32(products - 16 * bytes);
}
