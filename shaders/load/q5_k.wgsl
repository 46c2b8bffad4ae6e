// Weights of type Q5_K: 0.703 bytes a weight.
//
//   weight_quants  vec4<u32> a group: bits 0..4 of the codes q
//   weight_scales  five words a super-block of 8 groups: f16 d and dmin, then two bytes a group: scale, min
//   weight_high    one word a group: bit 4 of the codes
//
//   weight = (d * scale) * q - (dmin * min)

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;
@group(1) @binding(2) var<storage, read> weight_high: array<u32>;

struct WeightGroup {
    quants: vec4<u32>,
    high: u32,
    scale_min: vec2<f32>,
}

// The word of d, and that of both groups' bytes.
alias PairScales = vec2<u32>;

fn pair_scales(pair: u32) -> PairScales {
    let at = (pair >> 2u) * 5u;
    return PairScales(weight_scales[at], weight_scales[at + 1u + (pair & 3u)]);
}

fn pair_group(scales: PairScales, index: u32, i: u32) -> WeightGroup {
    let scale_min = unpack2x16float(scales.x) * vec2<f32>(unpack4xU8(half_word(scales.y, i)).xy);
    return WeightGroup(weight_quants[index], weight_high[index], scale_min);
}

fn weight_group(index: u32) -> WeightGroup {
    return pair_group(pair_scales(index >> 1u), index, index & 1u);
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return quad_u4(w.quants, i) | quad_u1_above(w.high, i);
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return w.scale_min.x * quad_to_f32(code_bytes(w, i)) - w.scale_min.y;
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return 1.0;
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return fma(w.scale_min.x, f32(products), -w.scale_min.y * f32(bytes));
}
