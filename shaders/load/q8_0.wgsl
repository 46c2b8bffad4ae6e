// Weights of type Q8_0: 1.0625 bytes a weight.
//
//   weight_quants  2 x vec4<u32> a group: signed bytes q in natural order
//   weight_scales  half a word a group: f16 d
//
//   weight = d * q

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightGroup {
    low: vec4<u32>,
    high: vec4<u32>,
    d: f32,
}

alias PairScales = u32;

fn pair_scales(pair: u32) -> PairScales {
    return weight_scales[pair];
}

fn pair_group(scales: PairScales, index: u32, i: u32) -> WeightGroup {
    return WeightGroup(weight_quants[index * 2u], weight_quants[index * 2u + 1u], half_at(scales, i));
}

fn weight_group(index: u32) -> WeightGroup {
    return pair_group(pair_scales(index >> 1u), index, index & 1u);
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return select(w.low, w.high, i >= 4u)[i & 3u];
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(code_bytes(w, i)));
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return w.d;
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return w.d * f32(products);
}
