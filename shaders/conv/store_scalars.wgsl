// Outputs of a convolution whose channels have any number of them.
//
//   out  [N * groups * filters, pixels] f32

@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn store_pixel(row: u32, pixel: u32, channel: u32, sum: f32) {
    if (pixel < params.pixels) {
        let i = row * params.pixels + pixel;
        out[i] = tail(sum, i, channel);
    }
}

// Stores outputs pixel .. pixel + 4 of a row, those that there are.
fn store_quad(row: u32, pixel: u32, channel: u32, sum: vec4<f32>) {
    store_pixel(row, pixel, channel, sum.x);
    store_pixel(row, pixel + 1u, channel, sum.y);
    store_pixel(row, pixel + 2u, channel, sum.z);
    store_pixel(row, pixel + 3u, channel, sum.w);
}
