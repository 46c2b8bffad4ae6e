// Outputs of a convolution whose channels have any number of them.
//
//   out  [N * groups * filters, pixels] f32

@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// Stores outputs pixel .. pixel + 4 of a row, those that there are.
fn store_quad(row: u32, pixel: u32, channel: TailChannel, sum: vec4<f32>) {
    let pixels = pixel + vec4<u32>(0u, 1u, 2u, 3u);
    let there = pixels < vec4<u32>(params.pixels);
    if (there.x) {
        let i = row * params.pixels + min(pixels, vec4<u32>(params.pixels - 1u));
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
