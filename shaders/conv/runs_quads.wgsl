// Inputs and outputs of a convolution by 3 x 3 taps whose rows hold a multiple of 4 of them.

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

// Inputs `column` .. `column` + 4 of the row that begins at `at`, if it is `there`; zeros outside. `column` is a multiple of 4.
fn input_quad(at: u32, column: u32, there: bool) -> vec4<f32> {
    let inside = there && column < params.width.input;
    return select(vec4<f32>(), x[select(0u, (at + column) / 4u, inside)], inside);
}

// Input `i` of all.
fn input_single(i: u32) -> f32 {
    return x[i / 4u][i % 4u];
}

// Stores outputs `column` .. `column` + 4 of the row that begins at `at`. `column` is a multiple of 4.
fn store_quad(at: u32, column: u32, channel: TailChannel, sum: vec4<f32>) {
    if (column < params.width.output) {
        let i = at + column;
        out[i / 4u] = tail_four(sum, i + vec4<u32>(0u, 1u, 2u, 3u), channel);
    }
}
