// Weights of type Q4_0 by pairs of groups; see load/q4_0.
//
//   weight_quants  vec4<u64> a pair: 4-bit codes q
//   weight_scales  one word a pair: f16 d of each group

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u64>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightPair {
    quants: vec4<u64>,
    scales: u32,
}

fn weight_pair(pair: u32) -> WeightPair {
    return WeightPair(weight_quants[pair], weight_scales[pair]);
}

// Eight, as codes that lie in place are too large; see load/long.
const EVEN_8: vec4<f32> = vec4<f32>(0x8p0f, 0x8p8f, 0x8p16f, 0x8p24f);
const ODD_8: vec4<f32> = vec4<f32>(0x8p4f, 0x8p12f, 0x8p20f, 0x8p0f);

// The sum of a group's products with its codes less 8.
fn centred_sum(words: vec4<u32>, x: Quads) -> f32 {
    var even = (quad_u4_even(words.x) - EVEN_8) * x.q0;
    var odd = (quad_u4_odd(words.x) - ODD_8) * x.q1;
    even = fma(quad_u4_even(words.y) - EVEN_8, x.q2, even);
    odd = fma(quad_u4_odd(words.y) - ODD_8, x.q3, odd);
    even = fma(quad_u4_even(words.z) - EVEN_8, x.q4, even);
    odd = fma(quad_u4_odd(words.z) - ODD_8, x.q5, odd);
    even = fma(quad_u4_even(words.w) - EVEN_8, x.q6, even);
    odd = fma(quad_u4_odd(words.w) - ODD_8, x.q7, odd);
    return add_up(fma(even, EVEN, odd * ODD));
}

fn pair_sum(w: WeightPair, x: QuadsPair) -> f32 {
    let words = words_of(w.quants);
    let scales = unpack2x16float(w.scales);
    return fma(scales.x, centred_sum(words.low, x.low), scales.y * centred_sum(words.high, x.high));
}
