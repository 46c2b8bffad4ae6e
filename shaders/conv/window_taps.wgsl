// The taps of a convolution with any strides, padding and dilations; zeros around the image.
//
// Taps are numbered through all channels; a kernel visits each `params.step`-th. `step` holds what that is in taps along depth,
// height and width, times their dilations, and in channels.

// A tap of a channel: its distance from the beginning of a window, and the channel, counted from `first` on.
struct Tap {
    place: vec3<u32>,
    channel: u32,
    first: u32,
}

// Tap `k` of the channels from `first` on.
fn tap_at(first: u32, k: u32) -> Tap {
    let depth = params.axes[0];
    let height = params.axes[1];
    let width = params.axes[2];
    let row = k / width.kernel;
    let slice = row / height.kernel;
    let block = slice / depth.kernel;
    let place = vec3<u32>(
        (slice - block * depth.kernel) * depth.dilation,
        (row - slice * height.kernel) * height.dilation,
        (k - row * width.kernel) * width.dilation,
    );
    return Tap(place, block, first);
}

fn next_tap(tap: Tap) -> Tap {
    let depth = params.axes[0];
    let height = params.axes[1];
    let width = params.axes[2];
    let end = vec3<u32>(depth.kernel * depth.dilation, height.kernel * height.dilation, width.kernel * width.dilation);
    var next = tap.place + params.step.xyz;
    let over_x = next.z >= end.z;
    next.z -= select(0u, end.z, over_x);
    next.y += select(0u, height.dilation, over_x);
    let over_y = next.y >= end.y;
    next.y -= select(0u, end.y, over_y);
    next.x += select(0u, depth.dilation, over_y);
    let over_z = next.x >= end.x;
    next.x -= select(0u, end.x, over_z);
    return Tap(next, tap.channel + params.step.w + select(0u, 1u, over_z), tap.first);
}

// Zero outside the image and beyond the last channel.
fn window_input(pixel: WindowPixel, tap: Tap) -> f32 {
    let place = pixel.place + tap.place;
    let size = vec3<u32>(params.axes[0].input, params.axes[1].input, params.axes[2].input);
    let there = all(place < size) && tap.channel < params.channels;
    let at = pixel.at + (tap.first + tap.channel) * params.inputs + input_at(tap.place);
    return select(0.0, x[select(0u, at, there)], there);
}
