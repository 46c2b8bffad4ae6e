// Tiles of a convolution with any number of channels: 16 taps at a time, of one channel after another.

const WIDE_PADDING: u32 = 0u;

// An output's window, and where its inputs lie in the tile.
struct Window {
    pixel: WindowPixel,
    spot: Spot,
}

// The first tap: its number in all channels and in its own, and where its channel's inputs begin.
struct Step {
    k: u32,
    tap: u32,
    at: u32,
}

struct Inputs {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
}

fn window_of(pixel: u32, lane: u32) -> Window {
    return Window(window_pixel(pixel + lane), wide_spot(lane));
}

fn first_step(first: u32) -> Step {
    return Step(0u, 0u, first * params.inputs);
}

fn next_step(step: Step) -> Step {
    let tap = step.tap + 16u;
    return Step(step.k + 16u, tap % TAPS, step.at + tap / TAPS * params.inputs);
}

// The input of tap `i` (0..16) of the step: zero outside of the image and beyond the last channel.
fn load_input(window: Window, step: Step, i: u32) -> f32 {
    let tap = params.taps[step.tap + i];
    let there = inside(window.pixel.place + tap.xyz) & (step.k + i < params.depth);
    return select(0.0, x[select(0u, window.pixel.at + tap.w + step.at, there)], there);
}

fn load_quad(window: Window, step: Step, i: u32) -> vec4<f32> {
    return vec4<f32>(
        load_input(window, step, i),
        load_input(window, step, i + 1u),
        load_input(window, step, i + 2u),
        load_input(window, step, i + 3u),
    );
}

fn load_inputs(window: Window, step: Step) -> Inputs {
    return Inputs(
        load_quad(window, step, 0u),
        load_quad(window, step, 4u),
        load_quad(window, step, 8u),
        load_quad(window, step, 12u),
    );
}

fn put_inputs(window: Window, inputs: Inputs) {
    put_wide(window.spot, 0u, inputs.q0);
    put_wide(window.spot, 1u, inputs.q1);
    put_wide(window.spot, 2u, inputs.q2);
    put_wide(window.spot, 3u, inputs.q3);
}

// Four taps of a filter, from `4 * quad` of the step on.
fn load_weights(filter_index: u32, quad: u32, step: Step) -> vec4<f32> {
    return weight_taps(filter_index, step.k + quad * 4u);
}
