// The windows of a convolution with any strides, padding and dilations.
//
//   x  [N, groups * channels, inputs..] f32

@group(0) @binding(1) var<storage, read_write> x: array<f32>;

// Where the window of an output begins, by its place in depth, height and width, and by element. What lies before the image wraps.
struct WindowPixel {
    place: vec3<u32>,
    at: u32,
}

fn input_at(place: vec3<u32>) -> u32 {
    return (place.x * params.axes[1].input + place.y) * params.axes[2].input + place.z;
}

// An output beyond the last repeats it.
fn window_pixel(pixel: u32) -> WindowPixel {
    let depth = params.axes[0];
    let height = params.axes[1];
    let width = params.axes[2];
    let p = min(pixel, params.pixels - 1u);
    let row = p / width.output;
    let slice = row / height.output;
    let place = vec3<u32>(
        slice * depth.stride - depth.pad,
        (row - slice * height.output) * height.stride - height.pad,
        (p - row * width.output) * width.stride - width.pad,
    );
    return WindowPixel(place, input_at(place));
}
