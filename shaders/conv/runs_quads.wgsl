// Inputs and outputs of a depthwise convolution whose rows hold a multiple of 4 of them.

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

// Inputs `column` .. `column` + 4 of the row that begins at `at`, if it is `there`; zeros outside. `column` is a multiple of 4.
fn input_quad(at: u32, column: u32, there: bool) -> vec4<f32> {
    let inside = there && column < params.width.input;
    return select(vec4<f32>(), x[select(0u, (at + column) / 4u, inside)], inside);
}

// Stores outputs `column` .. `column` + 4 of the row that begins at `at`. `column` is a multiple of 4.
fn store_quad(at: u32, column: u32, channel: u32, sum: vec4<f32>) {
    if (column < params.width.output) {
        let i = at + column;
        out[i / 4u] = vec4<f32>(
            tail(sum.x, i, channel),
            tail(sum.y, i + 1u, channel),
            tail(sum.z, i + 2u, channel),
            tail(sum.w, i + 3u, channel),
        );
    }
}
