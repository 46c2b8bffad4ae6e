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

fn weight_group(index: u32) -> WeightGroup {
    let at = (index >> 3u) * 5u;
    let d_dmin = unpack2x16float(weight_scales[at]);
    let bytes = half_word(weight_scales[at + 1u + ((index & 7u) >> 1u)], index);
    let scales = vec2<f32>(vec2<u32>(bytes, bytes >> 8u) & vec2<u32>(15u));
    let mins = vec2<f32>(vec2<u32>(bytes >> 4u, bytes >> 12u) & vec2<u32>(15u));
    return WeightGroup(weight_quants[index], d_dmin.x * scales, d_dmin.y * mins);
}

fn weight_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return w.scales[i >> 2u] * quad_to_f32(quad_u2(w.quants, i)) - w.mins[i >> 2u];
}
