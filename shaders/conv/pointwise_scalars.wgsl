// Inputs of a convolution by single taps that see every input once, for four neighbouring outputs at a time, of which an image may
// have any number.
//
//   x  [N, groups * channels, inputs..] f32

@group(0) @binding(1) var<storage, read_write> x: array<f32>;

alias WindowPlace = vec4<u32>;

// Outputs beyond the last repeat it; they are not stored.
fn window_pixels(pixel: u32) -> vec4<u32> {
    return min(pixel + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.pixels - 1u));
}

// The first input of a channel, and the end of the last channel's.
struct Tap {
    at: u32,
    end: u32,
}

// Tap `k` of the channels from `first` on.
fn tap_at(first: u32, k: u32) -> Tap {
    return Tap((first + k) * params.inputs, (first + params.channels) * params.inputs);
}

fn next_tap(tap: Tap) -> Tap {
    return Tap(tap.at + params.step.w * params.inputs, tap.end);
}

// Zeros beyond the last channel.
fn window_quad(own: vec4<u32>, tap: Tap) -> vec4<f32> {
    let there = tap.at < tap.end;
    let at = select(vec4<u32>(), tap.at + own, vec4<bool>(there));
    return select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), there);
}
