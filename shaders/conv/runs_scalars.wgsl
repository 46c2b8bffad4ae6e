// Inputs and outputs of a convolution by 3 x 3 taps whose rows hold any number of them.

@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// Inputs `column` .. `column` + 4 of the row that begins at `at`, if it is `there`; zeros outside.
fn input_quad(at: u32, column: u32, there: bool) -> vec4<f32> {
    let columns = column + vec4<u32>(0u, 1u, 2u, 3u);
    let inside = (columns < vec4<u32>(params.width.input)) & vec4<bool>(there);
    let i = select(vec4<u32>(), at + columns, inside);
    return select(vec4<f32>(), vec4<f32>(x[i.x], x[i.y], x[i.z], x[i.w]), inside);
}

// Input `i` of all.
fn input_single(i: u32) -> f32 {
    return x[i];
}

// Stores outputs `column` .. `column` + 4 of the row that begins at `at`, those that there are.
fn store_quad(at: u32, column: u32, channel: TailChannel, sum: vec4<f32>) {
    let columns = column + vec4<u32>(0u, 1u, 2u, 3u);
    let there = columns < vec4<u32>(params.width.output);
    if (there.x) {
        let i = at + min(columns, vec4<u32>(params.width.output - 1u));
        let values = tail_four(sum, i, channel);
        out[i.x] = values.x;
        if (there.y) {
            out[i.y] = values.y;
        }
        if (there.z) {
            out[i.z] = values.z;
        }
        if (there.w) {
            out[i.w] = values.w;
        }
    }
}
