// Weights of type Q4_1: 0.625 bytes a weight.
//
//   weight_quants  vec4<u32> a group: 4-bit codes q
//   weight_scales  one word a group: f16 d (low half), f16 m
//
//   weight = d * q + m

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightGroup {
    quants: vec4<u32>,
    d_m: vec2<f32>,
}

fn weight_group(index: u32) -> WeightGroup {
    return WeightGroup(weight_quants[index], unpack2x16float(weight_scales[index]));
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return quad_u4(w.quants, i);
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
