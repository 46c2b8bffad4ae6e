// Weights of type Q4_K by pairs of groups; see load/q4_k.
//
//   weight_quants  vec4<u64> a pair: 4-bit codes q
//   weight_scales  five words a super-block of 4 pairs: f16 d and dmin, then two bytes a group: scale, min

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u64>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightPair {
    quants: vec4<u64>,
    d: u32,
    scales: u32,
}

fn weight_pair(pair: u32) -> WeightPair {
    let at = (pair >> 2u) * 5u;
    return WeightPair(weight_quants[pair], weight_scales[at], weight_scales[at + 1u + (pair & 3u)]);
}

fn pair_sum(w: WeightPair, x: QuadsPair) -> f32 {
    let words = words_of(w.quants);
    let scales = unpack2x16float(w.d).xyxy * vec4<f32>(unpack4xU8(w.scales));
    let low = scaled_offset_sum(words.low, scales.x, -scales.y, x.low);
    return low + scaled_offset_sum(words.high, scales.z, -scales.w, x.high);
}
