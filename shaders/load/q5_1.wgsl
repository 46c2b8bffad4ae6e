// Weights of type Q5_1: 0.75 bytes a weight.
//
//   weight_quants  vec4<u32> a group: bits 0..4 of the codes q
//   weight_scales  one word a group: f16 d (low half), f16 m
//   weight_high    one word a group: bit 4 of the codes
//
//   weight = d * q + m

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;
@group(1) @binding(2) var<storage, read> weight_high: array<u32>;

struct WeightGroup {
    quants: vec4<u32>,
    high: u32,
    d_m: vec2<f32>,
}

fn weight_group(index: u32) -> WeightGroup {
    return WeightGroup(weight_quants[index], weight_high[index], unpack2x16float(weight_scales[index]));
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return quad_u4(w.quants, i) | quad_u1_above(w.high, i);
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return w.d_m.x * quad_to_f32(code_bytes(w, i)) + w.d_m.y;
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return 1.0;
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return fma(w.d_m.x, f32(products), w.d_m.y * f32(bytes));
}
