// Weights of type Q4_0: 0.5625 bytes a weight.
//
//   weight_quants  vec4<u32> a group: 4-bit codes q
//   weight_scales  half a word a group: f16 d
//
//   weight = d * (q - 8)

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightGroup {
    quants: vec4<u32>,
    d: f32,
}

alias PairScales = u32;

fn pair_scales(pair: u32) -> PairScales {
    return weight_scales[pair];
}

fn pair_group(scales: PairScales, index: u32, i: u32) -> WeightGroup {
    return WeightGroup(weight_quants[index], half_at(scales, i));
}

fn weight_group(index: u32) -> WeightGroup {
    return pair_group(pair_scales(index >> 1u), index, index & 1u);
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return quad_u4(w.quants, i);
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return quad_to_f32(code_bytes(w, i)) - 8.0;
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return w.d;
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return w.d * f32(products - 8 * bytes);
}
