// Tiles of a convolution whose groups have a multiple of 16 channels: 16 channels of one tap at a time, so that all 16 inputs of
// an output are inside of the image or none.
//
//   weight  [groups * filters, channels, TAPS] f32

const WIDE_PADDING: u32 = 0u;

@group(0) @binding(2) var<storage, read_write> weight: array<f32>;

// An output's window, and where its inputs lie in the tile.
struct Window {
    pixel: WindowPixel,
    spot: Spot,
}

// A tap, the first of the channels, and the first channel of the group.
struct Step {
    tap: u32,
    channel: u32,
    first: u32,
}

// Inputs of 16 channels, and whether they are inside of the image.
struct Inputs {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
    there: bool,
}

fn window_of(pixel: u32, lane: u32) -> Window {
    return Window(window_pixel(pixel + lane), wide_spot(lane));
}

fn first_step(first: u32) -> Step {
    return Step(0u, 0u, first);
}

// All taps of 16 channels come one after another; after the last, those of the last channels come again.
fn next_step(step: Step) -> Step {
    let over = step.tap + 1u == TAPS;
    let channel = min(step.channel + select(0u, 16u, over), params.channels - 16u);
    return Step(select(step.tap + 1u, 0u, over), channel, step.first);
}

// Inputs of channels i .. i + 4, of which the first channel's is at `at`.
fn load_quad(at: u32, i: u32) -> vec4<f32> {
    let n = params.inputs;
    return vec4<f32>(x[at + i * n], x[at + (i + 1u) * n], x[at + (i + 2u) * n], x[at + (i + 3u) * n]);
}

fn load_inputs(window: Window, step: Step) -> Inputs {
    let tap = params.taps[step.tap];
    let there = inside(window.pixel.place + tap.xyz);
    let at = select(0u, window.pixel.at + tap.w + (step.first + step.channel) * params.inputs, there);
    return Inputs(load_quad(at, 0u), load_quad(at, 4u), load_quad(at, 8u), load_quad(at, 12u), there);
}

fn put_inputs(window: Window, inputs: Inputs) {
    put_wide(window.spot, 0u, select(vec4<f32>(), inputs.q0, inputs.there));
    put_wide(window.spot, 1u, select(vec4<f32>(), inputs.q1, inputs.there));
    put_wide(window.spot, 2u, select(vec4<f32>(), inputs.q2, inputs.there));
    put_wide(window.spot, 3u, select(vec4<f32>(), inputs.q3, inputs.there));
}

// Weights of channels 4 * quad .. 4 * quad + 4 of the step, for a filter.
fn load_weights(filter_index: u32, quad: u32, step: Step) -> vec4<f32> {
    let at = filter_index * params.depth + (step.channel + quad * 4u) * TAPS + step.tap;
    return vec4<f32>(weight[at], weight[at + TAPS], weight[at + 2u * TAPS], weight[at + 3u * TAPS]);
}
