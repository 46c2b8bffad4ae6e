// Activations of a product whose K is a whole number of groups: vec4 loads, no bounds to watch.
//
//   x  [T, params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

// Activations 4 * quad .. 4 * quad + 4 of a token.
fn x_quad(token: u32, quad: u32) -> vec4<f32> {
    return x[token * (params.columns / 4u) + quad];
}

// The activations beside group `group` of the weights, for one token. All lanes must call with the same token and group.
fn x_group(token: u32, group: u32, lane: u32) -> Quads {
    let at = token * (params.columns / 4u) + group * 8u;
    return Quads(x[at], x[at + 1u], x[at + 2u], x[at + 3u], x[at + 4u], x[at + 5u], x[at + 6u], x[at + 7u]);
}

// What sums over all groups are multiplied with.
fn x_scale(lane: u32) -> f32 {
    return 1.0;
}
