// Inputs and outputs of a depthwise convolution whose rows hold any number of them.

@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// Inputs `column` .. `column` + 4 of the row that begins at `at`, if it is `there`; zeros outside.
fn input_quad(at: u32, column: u32, there: bool) -> vec4<f32> {
    let columns = column + vec4<u32>(0u, 1u, 2u, 3u);
    let inside = (columns < vec4<u32>(params.width.input)) & vec4<bool>(there);
    let i = select(vec4<u32>(), at + columns, inside);
    return select(vec4<f32>(), vec4<f32>(x[i.x], x[i.y], x[i.z], x[i.w]), inside);
}

fn store_one(at: u32, column: u32, channel: u32, sum: f32) {
    if (column < params.width.output) {
        out[at + column] = tail(sum, at + column, channel);
    }
}

// Stores outputs `column` .. `column` + 4 of the row that begins at `at`, those that there are.
fn store_quad(at: u32, column: u32, channel: u32, sum: vec4<f32>) {
    store_one(at, column, channel, sum.x);
    store_one(at, column + 1u, channel, sum.y);
    store_one(at, column + 2u, channel, sum.z);
    store_one(at, column + 3u, channel, sum.w);
}
