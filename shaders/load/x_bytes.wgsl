// Activations of a product that are bytes with a scale for every group, as quantize_rows makes them, as floats.
//
//   bytes   [T, params.columns] i8, four to a word
//   scales  [T, params.columns / 32] f32

@group(0) @binding(1) var<storage, read_write> bytes: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<f32>;

// Activations 4 * quad .. 4 * quad + 4 of a token.
fn x_quad(token: u32, quad: u32) -> vec4<f32> {
    let word = bytes[token * (params.columns / 4u) + quad];
    return scales[token * params.groups + quad / 8u] * vec4<f32>(unpack4xI8(word));
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
