// Inputs of a convolution by single taps that see every input once, for four neighbouring outputs at a time, where an image has
// a multiple of 4 of them.
//
//   x  [N, groups * channels, inputs..] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

// Outputs beyond the last repeat the last four; they are not stored.
fn window_pixels(pixel: u32) -> u32 {
    return min(pixel / 4u, params.pixels / 4u - 1u);
}

fn tap_at(channel: u32, k: u32) -> u32 {
    return (channel + k) * (params.pixels / 4u);
}

fn next_tap(tap: u32) -> u32 {
    return tap + params.step.w * (params.pixels / 4u);
}

// Taps of channels beyond the last of x read its last quad; their weights are zero.
fn window_quad(own: u32, tap: u32) -> vec4<f32> {
    return x[min(tap + own, arrayLength(&x) - 1u)];
}
