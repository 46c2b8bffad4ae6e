// Weights of type IQ4_NL: 0.5625 bytes a weight.
//
//   weight_quants  vec4<u32> a group: 4-bit codes q
//   weight_scales  half a word a group: f16 d
//
//   weight = d * codebook[q]

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

// The codebook, -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113, as the polynomial of fourth degree that comes nearest to
// it: within 0.435, and so exact once rounded. An array that is indexed by data lives in memory on most compilers.
fn codebook(q: vec4<f32>) -> vec4<f32> {
    let upper = fma(fma(vec4<f32>(0.00158604), q, vec4<f32>(0.0310864)), q, vec4<f32>(-1.37193));
    return round(fma(fma(upper, q, vec4<f32>(24.1738)), q, vec4<f32>(-126.567)));
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return pack4xI8(vec4<i32>(code_quad(w, i)));
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return codebook(quad_to_f32(quad_u4(w.quants, i)));
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return w.d;
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return w.d * f32(products);
}
