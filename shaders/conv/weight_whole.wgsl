// Weights of a convolution whose filters have a multiple of 16 taps in all their channels.
//
//   weight  [groups * filters, depth] f32

@group(0) @binding(2) var<storage, read_write> weight: array<vec4<f32>>;

// Taps k .. k + 4 of a filter; k is a multiple of 4.
fn weight_taps(filter_index: u32, k: u32) -> vec4<f32> {
    return weight[filter_index * (params.depth / 4u) + k / 4u];
}
