// Activations of a product with any K: scalar loads, zeros beyond the row.
//
//   x  [T, params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<f32>;

// Without a branch: SwiftShader takes minutes to compile 32 of them.
fn x_or_zero(token: u32, column: u32) -> f32 {
    let value = x[token * params.columns + min(column, params.columns - 1u)];
    return select(0.0, value, column < params.columns);
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

// The activations beside group `group` of the weights, for one token.
fn x_group(token: u32, group: u32, lane: u32) -> Quads {
    let at = group * 8u;
    return Quads(
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

// What sums over all groups are multiplied with.
fn x_scale(lane: u32) -> f32 {
    return 1.0;
}
