// Weights of a convolution whose filters have a multiple of 4 taps in all their channels; zeros beyond the last.
//
//   weight  [groups * filters, depth] f32

@group(0) @binding(2) var<storage, read_write> weight: array<vec4<f32>>;

// Taps k .. k + 4 of a filter; k is a multiple of 4. Zeros beyond the last.
fn weight_taps(filter_index: u32, k: u32) -> vec4<f32> {
    let taps = weight[(filter_index * params.depth + min(k, params.depth - 4u)) / 4u];
    return select(vec4<f32>(), taps, k < params.depth);
}
