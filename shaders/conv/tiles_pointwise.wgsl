// Tiles of a convolution by single taps that see every input once, where an image has a multiple of 4 of them: a product of
// matrices, 16 channels at a time. WHOLE says that groups have a multiple of 16.
//
//   x  [N, groups * channels, inputs..] f32

const WIDE_PADDING: u32 = 0u;

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

// The quad of outputs that an invocation brings, the first of four channels, and where they lie in the tile.
struct Window {
    at: u32,
    channel: u32,
    wide: u32,
}

// The first channel in the group, and the number of the group's first one.
struct Step {
    k: u32,
    first: u32,
}

// Four outputs by four channels.
struct Inputs {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
}

fn window_of(pixel: u32, lane: u32) -> Window {
    let four = lane / WIDE;
    let quad = lane % WIDE;
    return Window(min(pixel / 4u + quad, params.pixels / 4u - 1u), four * 4u, four * WIDE_FOUR + quad);
}

fn first_step(first: u32) -> Step {
    return Step(0u, first);
}

// After the last channels they come again where all are there.
fn next_step(step: Step) -> Step {
    let last = select(params.channels, params.channels - 16u, WHOLE == 1u);
    return Step(min(step.k + 16u, last), step.first);
}

// Zeros beyond the last channel.
fn load_quad(window: Window, first: u32, channel: u32) -> vec4<f32> {
    let there = (WHOLE == 1u) | (channel < params.channels);
    let at = select(0u, (first + channel) * (params.pixels / 4u) + window.at, there);
    return select(vec4<f32>(), x[at], there);
}

fn load_inputs(window: Window, step: Step) -> Inputs {
    let channel = step.k + window.channel;
    return Inputs(
        load_quad(window, step.first, channel),
        load_quad(window, step.first, channel + 1u),
        load_quad(window, step.first, channel + 2u),
        load_quad(window, step.first, channel + 3u),
    );
}

fn put_inputs(window: Window, inputs: Inputs) {
    put_wide_quads(window.wide, inputs.q0, inputs.q1, inputs.q2, inputs.q3);
}

// Four channels of a filter, from `4 * quad` of the step on.
fn load_weights(filter_index: u32, quad: u32, step: Step) -> vec4<f32> {
    return weight_taps(filter_index, step.k + quad * 4u);
}
