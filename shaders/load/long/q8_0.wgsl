// Weights of type Q8_0 by pairs of groups; see load/q8_0.
//
//   weight_quants  vec4<u64> a group: signed bytes q in natural order
//   weight_scales  one word a pair: f16 d of each group

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u64>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightPair {
    low: vec4<u64>,
    high: vec4<u64>,
    scales: u32,
}

fn weight_pair(pair: u32) -> WeightPair {
    return WeightPair(weight_quants[pair * 2u], weight_quants[pair * 2u + 1u], weight_scales[pair]);
}

fn bytes_of(word: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(word));
}

// The sum of a group's products with its codes.
fn byte_products(long: vec4<u64>, x: Quads) -> f32 {
    let w = words_of(long);
    var s = bytes_of(w.low.x) * x.q0;
    s = fma(bytes_of(w.low.y), x.q1, s);
    s = fma(bytes_of(w.low.z), x.q2, s);
    s = fma(bytes_of(w.low.w), x.q3, s);
    s = fma(bytes_of(w.high.x), x.q4, s);
    s = fma(bytes_of(w.high.y), x.q5, s);
    s = fma(bytes_of(w.high.z), x.q6, s);
    s = fma(bytes_of(w.high.w), x.q7, s);
    return add_up(s);
}

fn pair_sum(w: WeightPair, x: QuadsPair) -> f32 {
    let scales = unpack2x16float(w.scales);
    return fma(scales.x, byte_products(w.low, x.low), scales.y * byte_products(w.high, x.high));
}
