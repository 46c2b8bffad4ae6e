// Inputs of a convolution by single taps that see every input once, for four neighbouring outputs at a time, where a channel has a
// multiple of 4 of them: `inputs`, of which the first `pixels` count.
//
//   x  [N, groups * channels, inputs] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

alias WindowPlace = u32;

// Outputs beyond the last repeat the last four; they are not stored.
fn window_pixels(pixel: u32) -> u32 {
    return min(pixel / 4u, params.inputs / 4u - 1u);
}

// The first quad of a channel, and the end of the last channel's.
struct Tap {
    at: u32,
    end: u32,
}

// Tap `k` of the channels from `first` on.
fn tap_at(first: u32, k: u32) -> Tap {
    let quads = params.inputs / 4u;
    return Tap((first + k) * quads, (first + params.channels) * quads);
}

fn next_tap(tap: Tap) -> Tap {
    return Tap(tap.at + params.step.w * (params.inputs / 4u), tap.end);
}

// Zeros beyond the last channel.
fn window_quad(own: u32, tap: Tap) -> vec4<f32> {
    let there = tap.at < tap.end;
    return select(vec4<f32>(), x[select(0u, tap.at + own, there)], there);
}
