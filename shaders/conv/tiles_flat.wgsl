// Tiles of a convolution with any number of channels: 16 taps at a time, of one channel after another.

const WIDE_PADDING: u32 = 0u;

// An output's window, which of its inputs are inside of the image, and where they lie in the tile.
struct Window {
    pixel: WindowPixel,
    inside: Inside,
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
    let first = window_pixel(pixel + lane);
    return Window(first, window_inside(first.place), wide_spot(lane));
}

fn first_step(first: u32) -> Step {
    return Step(0u, 0u, first * params.inputs);
}

fn next_step(step: Step) -> Step {
    let tap = step.tap + 16u;
    return Step(step.k + 16u, tap % TAPS, step.at + tap / TAPS * params.inputs);
}

// The input of tap `i` (0..16) of the step whose inputs begin at `at`: zero where that bit of `there` is.
fn load_input(there: u32, at: u32, tap: u32, i: u32) -> f32 {
    // All bits or none, which masks a number in one operation.
    let mask = u32(extractBits(i32(there), i, 1u));
    return bitcast<f32>(bitcast<u32>(x[(at + params.taps[tap + i].w) & mask]) & mask);
}

fn load_quad(there: u32, at: u32, tap: u32, i: u32) -> vec4<f32> {
    return vec4<f32>(
        load_input(there, at, tap, i),
        load_input(there, at, tap, i + 1u),
        load_input(there, at, tap, i + 2u),
        load_input(there, at, tap, i + 3u),
    );
}

fn load_inputs(window: Window, step: Step) -> Inputs {
    let left = params.depth - min(step.k, params.depth);
    // Inside of the image, and not beyond the last channel.
    let there = step_inside(window.inside, window.pixel.place, step.tap) & ((1u << min(left, 16u)) - 1u);
    let at = window.pixel.at + step.at;
    return Inputs(
        load_quad(there, at, step.tap, 0u),
        load_quad(there, at, step.tap, 4u),
        load_quad(there, at, step.tap, 8u),
        load_quad(there, at, step.tap, 12u),
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
