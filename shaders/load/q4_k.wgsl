// Weights of type Q4_K: 0.578 bytes a weight.
//
//   weight_quants  vec4<u32> a group: 4-bit codes q
//   weight_scales  five words a super-block of 8 groups: f16 d and dmin, then two bytes a group: scale, min
//
//   weight = (d * scale) * q - (dmin * min)

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightGroup {
    quants: vec4<u32>,
    scale_min: vec2<f32>,
}

fn weight_group(index: u32) -> WeightGroup {
    let at = (index >> 3u) * 5u;
    let d_dmin = unpack2x16float(weight_scales[at]);
    let scale_min = unpack4xU8(half_word(weight_scales[at + 1u + ((index & 7u) >> 1u)], index)).xy;
    return WeightGroup(weight_quants[index], d_dmin * vec2<f32>(scale_min));
}

fn weight_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return w.scale_min.x * quad_to_f32(quad_u4(w.quants, i)) - w.scale_min.y;
}
