// Weights of type Q8_0: 1.0625 bytes a weight.
//
//   weight_quants  2 x vec4<u32> a group: signed bytes q in natural order
//   weight_scales  half a word a group: f16 d
//
//   weight = d * q

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightGroup {
    low: vec4<u32>,
    high: vec4<u32>,
    d: f32,
}

fn weight_group(index: u32) -> WeightGroup {
    let at = index * 2u;
    return WeightGroup(weight_quants[at], weight_quants[at + 1u], half_at(weight_scales[index >> 1u], index));
}

fn weight_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    let word = select(w.low, w.high, i >= 4u)[i & 3u];
    return w.d * vec4<f32>(unpack4xI8(word));
}
