// out[n, m, p] = tail(sum_k weight[m, k] * window[k, p]) on wide devices. window[k, p] is the input beside tap k of all channels'
// taps and output p; a provider loads it.
//
//   weight  [groups * filters, depth] f32 (a provider loads it)
//   out     [N, groups * filters, pixels] f32 (a provider stores it)
//
// One workgroup: 32 * DOWN filters x 64 * ACROSS outputs of one group of one image (see product/tiles.wgsl), 16 taps at a time
// through 12.1 KiB of workgroup memory at most; the next are on their way from memory while these are multiplied. In which order
// taps come is the provider's.

struct Axis {
    input: u32,
    kernel: u32,
    output: u32,
    stride: u32,
    dilation: u32,
    pad: u32,
    pad_0: u32,
    pad_1: u32,
}

struct Params {
    channels: u32,
    filters: u32,
    groups: u32,
    pixels: u32,
    inputs: u32,
    depth: u32,
    pad_0: u32,
    pad_1: u32,
    axes: array<Axis, 3>,
    // The taps of a channel and 15 more, from the first on again in the next channel: the distance of each from the beginning of a
    // window, in depth, height and width and in elements.
    taps: array<vec4<u32>, TAPS + 15u>,
}

@group(0) @binding(0) var<uniform> params: Params;

// Whether a place is one of the image, without a branch: SwiftShader takes minutes to compile dozens of them. DEEP says that an
// image has more than one slice.
fn inside(place: vec3<u32>) -> bool {
    let there = (place.y < params.axes[1].input) & (place.z < params.axes[2].input);
    return there & ((DEEP == 0u) | (place.x < params.axes[0].input));
}

// What an invocation brings: inputs, and four taps of a filter and of the one 32 further.
struct Pieces {
    inputs: Inputs,
    upper: vec4<f32>,
    lower: vec4<f32>,
}

fn load_pieces(lane: u32, row: u32, last_row: u32, window: Window, step: Step) -> Pieces {
    var pieces: Pieces;
    if (ACROSS == 2u || lane < 64u) {
        pieces.inputs = load_inputs(window, step);
    }
    pieces.upper = load_weights(min(row, last_row), lane % 4u, step);
    if (DOWN == 2u) {
        pieces.lower = load_weights(min(row + 32u, last_row), lane % 4u, step);
    }
    return pieces;
}

fn put_pieces(lane: u32, window: Window, upper: Spot, lower: Spot, pieces: Pieces) {
    if (ACROSS == 2u || lane < 64u) {
        put_inputs(window, pieces.inputs);
    }
    put_high(upper, pieces.upper);
    if (DOWN == 2u) {
        put_high(lower, pieces.lower);
    }
}

fn store_filter(filter_index: u32, group: u32, pixel: u32, sums: vec4<f32>) {
    if (filter_index < params.filters) {
        let row = group * params.filters + filter_index;
        store_quad(row, pixel, tail_channel(row % (params.groups * params.filters)), sums);
    }
}

fn store_piece(filter_index: u32, group: u32, pixel: u32, sums: Piece) {
    store_filter(filter_index, group, pixel, sums.s0);
    store_filter(filter_index + 1u, group, pixel, sums.s1);
    store_filter(filter_index + 2u, group, pixel, sums.s2);
    store_filter(filter_index + 3u, group, pixel, sums.s3);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = workgroup.x * 64u * ACROSS;
    let filter_index = workgroup.y * 32u * DOWN;
    let group = workgroup.z;
    // Filters and outputs beyond the last repeat it; they are not stored.
    let first_row = group % params.groups * params.filters;
    let last_row = first_row + params.filters - 1u;
    let row = first_row + filter_index + lane / 4u;
    let window = window_of(pixel, lane);
    let upper = high_spot(lane / 4u, lane % 4u);
    let lower = high_spot(lane / 4u + 32u, lane % 4u);
    let across = lane % 16u;
    let down = lane / 16u;
    var step = first_step(group * params.channels);
    var pieces = load_pieces(lane, row, last_row, window, step);
    var sums: Sums;
    for (var k = 0u; k < params.depth; k += 16u) {
        put_pieces(lane, window, upper, lower, pieces);
        workgroupBarrier();
        step = next_step(step);
        pieces = load_pieces(lane, row, last_row, window, step);
        sums = add_tiles(across, down, sums);
        workgroupBarrier();
    }
    let first = filter_index + down * 4u;
    let own = pixel + across * 4u;
    store_piece(first, group, own, sums.p00);
    if (ACROSS == 2u) {
        store_piece(first, group, own + 64u, sums.p01);
    }
    if (DOWN == 2u) {
        store_piece(first + 32u, group, own, sums.p10);
    }
    if (ACROSS == 2u && DOWN == 2u) {
        store_piece(first + 32u, group, own + 64u, sums.p11);
    }
}
