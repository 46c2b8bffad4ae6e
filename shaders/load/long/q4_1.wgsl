// Weights of type Q4_1 by pairs of groups; see load/q4_1.
//
//   weight_quants  vec4<u64> a pair: 4-bit codes q
//   weight_scales  one word a pair: for each group f16 d (low half), f16 m

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u64>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u64>;

struct WeightPair {
    quants: vec4<u64>,
    scales: u64,
}

fn weight_pair(pair: u32) -> WeightPair {
    return WeightPair(weight_quants[pair], weight_scales[pair]);
}

fn pair_sum(w: WeightPair, x: QuadsPair) -> f32 {
    let words = words_of(w.quants);
    let low = unpack2x16float(u32(w.scales));
    let high = unpack2x16float(u32(w.scales >> 32u));
    return scaled_offset_sum(words.low, low.x, low.y, x.low) + scaled_offset_sum(words.high, high.x, high.y, x.high);
}
