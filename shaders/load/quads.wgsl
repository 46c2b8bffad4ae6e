// The 32 numbers of one group as eight quads, and what products do with them.

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
