// The 32 numbers of one group as eight quads, and what products do with them.
//
// A weight provider of this folder says what the weights 4i .. 4i + 4 of a group are: `code_scale(w, half) * code_quad(w, i)`, with
// a scale for each half of the group. For products with bytes (`quantized_mat_mul`) it gives the codes as i8, `code_bytes(w, i)`, and
// with `byte_sum(w, half, products, bytes)` the sum of a half's weights by bytes, of the sum of its codes by bytes and of the sum of
// its bytes.

struct Quads {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
    q4: vec4<f32>,
    q5: vec4<f32>,
    q6: vec4<f32>,
    q7: vec4<f32>,
}

// Weights 4i .. 4i + 4 of a group; `i` is a literal at nearly every call.
fn weight_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return code_scale(w, i >> 2u) * code_quad(w, i);
}

// A group of weights, decoded.
fn decode(w: WeightGroup) -> Quads {
    return Quads(
        weight_quad(w, 0u),
        weight_quad(w, 1u),
        weight_quad(w, 2u),
        weight_quad(w, 3u),
        weight_quad(w, 4u),
        weight_quad(w, 5u),
        weight_quad(w, 6u),
        weight_quad(w, 7u),
    );
}

// sum + a * b, added up quad by quad; the four partial sums are joined at the very end.
fn add_products(sum: vec4<f32>, a: Quads, b: Quads) -> vec4<f32> {
    var s = fma(a.q0, b.q0, sum);
    s = fma(a.q1, b.q1, s);
    s = fma(a.q2, b.q2, s);
    s = fma(a.q3, b.q3, s);
    s = fma(a.q4, b.q4, s);
    s = fma(a.q5, b.q5, s);
    s = fma(a.q6, b.q6, s);
    return fma(a.q7, b.q7, s);
}

// The sum of a group's products. Scales are applied to sums of codes: four operations a weight become three.
fn group_sum(w: WeightGroup, x: Quads) -> f32 {
    let low = fma(code_quad(w, 3u), x.q3, fma(code_quad(w, 2u), x.q2, fma(code_quad(w, 1u), x.q1, code_quad(w, 0u) * x.q0)));
    let high = fma(code_quad(w, 7u), x.q7, fma(code_quad(w, 6u), x.q6, fma(code_quad(w, 5u), x.q5, code_quad(w, 4u) * x.q4)));
    return fma(code_scale(w, 0u), add_up(low), code_scale(w, 1u) * add_up(high));
}

fn add_up(quad: vec4<f32>) -> f32 {
    return (quad.x + quad.y) + (quad.z + quad.w);
}
