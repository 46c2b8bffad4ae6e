// Weights of type Q2_K: 0.328 bytes a weight.
//
//   weight_quants  vec2<u32> a group: 2-bit codes q
//   weight_scales  five words a super-block of 8 groups: f16 d and dmin, then a byte for every 16 weights:
//                  scale in the low nibble, min in the high one
//
//   weight = (d * scale) * q - (dmin * min)

@group(1) @binding(0) var<storage, read> weight_quants: array<vec2<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

// Element h of `scales` and `mins` belongs to weights 16h..16h+16.
struct WeightGroup {
    quants: vec2<u32>,
    scales: vec2<f32>,
    mins: vec2<f32>,
}

// The word of d, and that of both groups' bytes.
alias PairScales = vec2<u32>;

fn pair_scales(pair: u32) -> PairScales {
    let at = (pair >> 2u) * 5u;
    return PairScales(weight_scales[at], weight_scales[at + 1u + (pair & 3u)]);
}

fn pair_group(scales: PairScales, index: u32, i: u32) -> WeightGroup {
    let d_dmin = unpack2x16float(scales.x);
    let bytes = half_word(scales.y, i);
    let factors = vec2<f32>(vec2<u32>(bytes, bytes >> 8u) & vec2<u32>(15u));
    let mins = vec2<f32>(vec2<u32>(bytes >> 4u, bytes >> 12u) & vec2<u32>(15u));
    return WeightGroup(weight_quants[index], d_dmin.x * factors, d_dmin.y * mins);
}

fn weight_group(index: u32) -> WeightGroup {
    return pair_group(pair_scales(index >> 1u), index, index & 1u);
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return quad_u2(w.quants, i);
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return w.scales[i >> 2u] * quad_to_f32(code_bytes(w, i)) - w.mins[i >> 2u];
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return 1.0;
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return fma(w.scales[half], f32(products), -w.mins[half] * f32(bytes));
}
