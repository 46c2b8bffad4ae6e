// Weights of a convolution whose filters have any number of taps; zeros beyond the last.
//
//   weight  [groups * filters, depth] f32

@group(0) @binding(2) var<storage, read_write> weight: array<f32>;

// Taps k .. k + 4 of a filter; k is a multiple of 4.
fn weight_taps(filter_index: u32, k: u32) -> vec4<f32> {
    let taps = k + vec4<u32>(0u, 1u, 2u, 3u);
    let at = filter_index * params.depth + min(taps, vec4<u32>(params.depth - 1u));
    return select(vec4<f32>(), vec4<f32>(weight[at.x], weight[at.y], weight[at.z], weight[at.w]), taps < vec4<u32>(params.depth));
}
