// Weights of type F32: 4 bytes a weight.
//
//   weight_quants  8 x vec4<u32> a group: the values in natural order
//
//   weight = the value

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;

struct WeightGroup {
    q0: vec4<u32>,
    q1: vec4<u32>,
    q2: vec4<u32>,
    q3: vec4<u32>,
    q4: vec4<u32>,
    q5: vec4<u32>,
    q6: vec4<u32>,
    q7: vec4<u32>,
}

fn weight_group(index: u32) -> WeightGroup {
    let at = index * 8u;
    return WeightGroup(
        weight_quants[at],
        weight_quants[at + 1u],
        weight_quants[at + 2u],
        weight_quants[at + 3u],
        weight_quants[at + 4u],
        weight_quants[at + 5u],
        weight_quants[at + 6u],
        weight_quants[at + 7u],
    );
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(select(pick4(w.q0, w.q1, w.q2, w.q3, i), pick4(w.q4, w.q5, w.q6, w.q7, i), i >= 4u));
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return 1.0;
}
