// Outputs of a convolution whose channels have a multiple of 4 of them.
//
//   out  [N * groups * filters, pixels] f32

@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

// Stores outputs pixel .. pixel + 4 of a row; pixel is a multiple of 4.
fn store_quad(row: u32, pixel: u32, channel: TailChannel, sum: vec4<f32>) {
    if (pixel < params.pixels) {
        let i = row * params.pixels + pixel;
        out[i / 4u] = tail_four(sum, i + vec4<u32>(0u, 1u, 2u, 3u), channel);
    }
}
