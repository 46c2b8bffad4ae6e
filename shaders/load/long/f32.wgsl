// Weights of type F32 by pairs of groups; see load/f32.
//
//   weight_quants  8 x vec4<u64> a pair: the values in natural order

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u64>>;

struct WeightPair {
    low: Quads,
    high: Quads,
}

fn weight_pair(pair: u32) -> WeightPair {
    let w0 = floats_of(weight_quants[pair * 8u]);
    let w1 = floats_of(weight_quants[pair * 8u + 1u]);
    let w2 = floats_of(weight_quants[pair * 8u + 2u]);
    let w3 = floats_of(weight_quants[pair * 8u + 3u]);
    let w4 = floats_of(weight_quants[pair * 8u + 4u]);
    let w5 = floats_of(weight_quants[pair * 8u + 5u]);
    let w6 = floats_of(weight_quants[pair * 8u + 6u]);
    let w7 = floats_of(weight_quants[pair * 8u + 7u]);
    return WeightPair(
        Quads(w0.low, w0.high, w1.low, w1.high, w2.low, w2.high, w3.low, w3.high),
        Quads(w4.low, w4.high, w5.low, w5.high, w6.low, w6.high, w7.low, w7.high),
    );
}

fn pair_sum(w: WeightPair, x: QuadsPair) -> f32 {
    return add_up(add_products(add_products(vec4<f32>(), w.low, x.low), w.high, x.high));
}
