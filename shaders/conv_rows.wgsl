// out[n, m, p] = tail(sum_k weight[m, k] * window[k, p]), for devices that run few lanes, whose loads are dear and whose subgroups have
// at least 8 lanes. window[k, p] is the input beside tap k of all channels' taps and output p; a provider loads it.
//
//   weight  [groups * filters, depth] f32 (a provider loads it)
//   out     [N, groups * filters, pixels] f32 (a provider stores it)
//
// One workgroup: 8 * ROWS filters (ROWS is 1, 2 or 4), 8 apart in each lane, for 32 outputs of one group of one image. Each lane
// loads four of the 32 window elements and hands them to the others; no workgroup memory.

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
    step: vec4<u32>,
    axes: array<Axis, 3>,
}

// The sums of one filter beside 32 outputs, and the window elements of those.
struct Pixels {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
    q4: vec4<f32>,
    q5: vec4<f32>,
    q6: vec4<f32>,
    q7: vec4<f32>,
}

@group(0) @binding(0) var<uniform> params: Params;

// What every lane loaded, for every lane.
fn spread(own: vec4<f32>) -> Pixels {
    return Pixels(
        subgroupBroadcast(own, 0u),
        subgroupBroadcast(own, 1u),
        subgroupBroadcast(own, 2u),
        subgroupBroadcast(own, 3u),
        subgroupBroadcast(own, 4u),
        subgroupBroadcast(own, 5u),
        subgroupBroadcast(own, 6u),
        subgroupBroadcast(own, 7u),
    );
}

// Adds four taps to four sums.
fn add_quad(sum: vec4<f32>, w: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    return fma(vec4<f32>(w.w), d, fma(vec4<f32>(w.z), c, fma(vec4<f32>(w.y), b, fma(vec4<f32>(w.x), a, sum))));
}

// Adds four taps to the sums of one filter.
fn add_taps(sum: Pixels, w: vec4<f32>, a: Pixels, b: Pixels, c: Pixels, d: Pixels) -> Pixels {
    return Pixels(
        add_quad(sum.q0, w, a.q0, b.q0, c.q0, d.q0),
        add_quad(sum.q1, w, a.q1, b.q1, c.q1, d.q1),
        add_quad(sum.q2, w, a.q2, b.q2, c.q2, d.q2),
        add_quad(sum.q3, w, a.q3, b.q3, c.q3, d.q3),
        add_quad(sum.q4, w, a.q4, b.q4, c.q4, d.q4),
        add_quad(sum.q5, w, a.q5, b.q5, c.q5, d.q5),
        add_quad(sum.q6, w, a.q6, b.q6, c.q6, d.q6),
        add_quad(sum.q7, w, a.q7, b.q7, c.q7, d.q7),
    );
}

// `group` counts the groups of all images; filters of a group beyond the last and outputs beyond the last are not stored.
fn store_filter(group: u32, filter_index: u32, pixel: u32, sum: Pixels) {
    if (filter_index < params.filters) {
        let row = group * params.filters + filter_index;
        let channel = row % (params.groups * params.filters);
        store_quad(row, pixel, channel, sum.q0);
        store_quad(row, pixel + 4u, channel, sum.q1);
        store_quad(row, pixel + 8u, channel, sum.q2);
        store_quad(row, pixel + 12u, channel, sum.q3);
        store_quad(row, pixel + 16u, channel, sum.q4);
        store_quad(row, pixel + 20u, channel, sum.q5);
        store_quad(row, pixel + 24u, channel, sum.q6);
        store_quad(row, pixel + 28u, channel, sum.q7);
    }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = workgroup.x * 32u;
    let filter_index = workgroup.y * (8u * ROWS) + lane;
    let group = workgroup.z;
    let first = group % params.groups * params.filters;
    let last = params.filters - 1u;
    // Filters beyond the last repeat it, since every lane is needed to load.
    let f0 = first + min(filter_index, last);
    let f1 = first + min(filter_index + 8u, last);
    let f2 = first + min(filter_index + 16u, last);
    let f3 = first + min(filter_index + 24u, last);
    let own = window_pixels(pixel + lane * 4u);
    var tap = tap_at(group * params.channels, 0u);
    var s0 = Pixels();
    var s1 = Pixels();
    var s2 = Pixels();
    var s3 = Pixels();
    for (var k = 0u; k < params.depth; k += 4u) {
        let x0 = spread(window_quad(own, tap));
        tap = next_tap(tap);
        let x1 = spread(window_quad(own, tap));
        tap = next_tap(tap);
        let x2 = spread(window_quad(own, tap));
        tap = next_tap(tap);
        let x3 = spread(window_quad(own, tap));
        tap = next_tap(tap);
        s0 = add_taps(s0, weight_taps(f0, k), x0, x1, x2, x3);
        if (ROWS > 1u) {
            s1 = add_taps(s1, weight_taps(f1, k), x0, x1, x2, x3);
        }
        if (ROWS > 2u) {
            s2 = add_taps(s2, weight_taps(f2, k), x0, x1, x2, x3);
            s3 = add_taps(s3, weight_taps(f3, k), x0, x1, x2, x3);
        }
    }
    store_filter(group, filter_index, pixel, s0);
    if (ROWS > 1u) {
        store_filter(group, filter_index + 8u, pixel, s1);
    }
    if (ROWS > 2u) {
        store_filter(group, filter_index + 16u, pixel, s2);
        store_filter(group, filter_index + 24u, pixel, s3);
    }
}
