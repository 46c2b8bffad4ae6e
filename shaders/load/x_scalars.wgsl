// Activations of a product with any K: scalar loads, zeros beyond the row.
//
//   x  [T, params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<f32>;

// The 32 activations beside one group of weights, as quads.
struct XGroup {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
    q4: vec4<f32>,
    q5: vec4<f32>,
    q6: vec4<f32>,
    q7: vec4<f32>,
}

fn x_or_zero(token: u32, column: u32) -> f32 {
    if (column >= params.columns) {
        return 0.0;
    }
    return x[token * params.columns + column];
}

// Activations 4 * quad .. 4 * quad + 4 of a token.
fn x_quad(token: u32, quad: u32) -> vec4<f32> {
    let column = quad * 4u;
    return vec4<f32>(
        x_or_zero(token, column),
        x_or_zero(token, column + 1u),
        x_or_zero(token, column + 2u),
        x_or_zero(token, column + 3u),
    );
}

// Group `group` of a token.
fn x_group(token: u32, group: u32, lane: u32) -> XGroup {
    let at = group * 8u;
    return XGroup(
        x_quad(token, at),
        x_quad(token, at + 1u),
        x_quad(token, at + 2u),
        x_quad(token, at + 3u),
        x_quad(token, at + 4u),
        x_quad(token, at + 5u),
        x_quad(token, at + 6u),
        x_quad(token, at + 7u),
    );
}
