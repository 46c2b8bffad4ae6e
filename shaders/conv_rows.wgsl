// out[n, m, p] = tail(sum_k weight[m, k] * window[k, p]), for devices that run few lanes, whose loads are dear and whose subgroups have
// at least 8 lanes. window[k, p] is the input beside tap k of all channels' taps and output p; a provider loads it.
//
//   weight  [groups * filters, depth] f32 (a provider loads it)
//   out     [N, groups * filters, pixels] f32 (a provider stores it)
//
// One workgroup: 8 * ROWS filters (ROWS is 1, 2 or 4) for 32 * QUADS outputs (QUADS is 1 or 2) of one group of one image. Each lane has
// 4 * QUADS neighbouring outputs of all filters, and four weights of every eighth filter, which it hands to the others; no
// workgroup memory.

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

// The outputs of one lane, or inputs beside them, by quads. Those that QUADS leaves out stay zero.
struct Side {
    q0: vec4<f32>,
    q1: vec4<f32>,
}

// The inputs beside four taps.
struct Inputs {
    a: Side,
    b: Side,
    c: Side,
    d: Side,
}

// The sums of eight filters.
struct Filters {
    f0: Side,
    f1: Side,
    f2: Side,
    f3: Side,
    f4: Side,
    f5: Side,
    f6: Side,
    f7: Side,
}

// Where the windows of a lane's outputs begin.
struct Places {
    p0: WindowPlace,
    p1: WindowPlace,
}

@group(0) @binding(0) var<uniform> params: Params;

fn load_inputs(own: Places, tap: Tap) -> Side {
    var x = Side();
    x.q0 = window_quad(own.p0, tap);
    if (QUADS > 1u) {
        x.q1 = window_quad(own.p1, tap);
    }
    return x;
}

// Adds four taps to four sums.
fn add_quad(sum: vec4<f32>, w: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    return fma(vec4<f32>(w.w), d, fma(vec4<f32>(w.z), c, fma(vec4<f32>(w.y), b, fma(vec4<f32>(w.x), a, sum))));
}

// Adds four taps to the sums of one filter.
fn add_taps(sums: Side, w: vec4<f32>, x: Inputs) -> Side {
    var s = sums;
    s.q0 = add_quad(s.q0, w, x.a.q0, x.b.q0, x.c.q0, x.d.q0);
    if (QUADS > 1u) {
        s.q1 = add_quad(s.q1, w, x.a.q1, x.b.q1, x.c.q1, x.d.q1);
    }
    return s;
}

// Adds four taps to the sums of eight filters, of which each lane has those of one.
fn add_filters(sums: Filters, own: vec4<f32>, x: Inputs) -> Filters {
    return Filters(
        add_taps(sums.f0, subgroupBroadcast(own, 0u), x),
        add_taps(sums.f1, subgroupBroadcast(own, 1u), x),
        add_taps(sums.f2, subgroupBroadcast(own, 2u), x),
        add_taps(sums.f3, subgroupBroadcast(own, 3u), x),
        add_taps(sums.f4, subgroupBroadcast(own, 4u), x),
        add_taps(sums.f5, subgroupBroadcast(own, 5u), x),
        add_taps(sums.f6, subgroupBroadcast(own, 6u), x),
        add_taps(sums.f7, subgroupBroadcast(own, 7u), x),
    );
}

// `group` counts the groups of all images; filters of a group beyond the last and outputs beyond the last are not stored.
fn store_filter(group: u32, filter_index: u32, pixel: u32, sums: vec4<f32>) {
    if (filter_index < params.filters) {
        let channel = tail_channel(group % params.groups * params.filters + filter_index);
        store_quad(group * params.filters + filter_index, pixel, channel, sums);
    }
}

// Drops the first quad of outputs.
fn behind(s: Side) -> Side {
    return Side(s.q1, s.q1);
}

fn store_filters(group: u32, first: u32, pixel: u32, sums: Filters) {
    var s = sums;
    for (var i = 0u; i < QUADS; i++) {
        let at = pixel + 4u * i;
        store_filter(group, first, at, s.f0.q0);
        store_filter(group, first + 1u, at, s.f1.q0);
        store_filter(group, first + 2u, at, s.f2.q0);
        store_filter(group, first + 3u, at, s.f3.q0);
        store_filter(group, first + 4u, at, s.f4.q0);
        store_filter(group, first + 5u, at, s.f5.q0);
        store_filter(group, first + 6u, at, s.f6.q0);
        store_filter(group, first + 7u, at, s.f7.q0);
        s = Filters(behind(s.f0), behind(s.f1), behind(s.f2), behind(s.f3), behind(s.f4), behind(s.f5), behind(s.f6), behind(s.f7));
    }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Workgroups that follow on each other share inputs.
    let pixel = (workgroup.y * 8u + lane) * (4u * QUADS);
    let filter_index = workgroup.x * (8u * ROWS);
    let group = workgroup.z;
    let first = group % params.groups * params.filters;
    let last = params.filters - 1u;
    // Filters beyond the last repeat it, since every lane is needed.
    let f0 = first + min(filter_index + lane, last);
    let f1 = first + min(filter_index + lane + 8u, last);
    let f2 = first + min(filter_index + lane + 16u, last);
    let f3 = first + min(filter_index + lane + 24u, last);
    let own = Places(window_pixels(pixel), window_pixels(pixel + 4u));
    var tap = tap_at(group * params.channels, 0u);
    var s0 = Filters();
    var s1 = Filters();
    var s2 = Filters();
    var s3 = Filters();
    for (var k = 0u; k < params.depth; k += 4u) {
        var x = Inputs();
        x.a = load_inputs(own, tap);
        tap = next_tap(tap);
        x.b = load_inputs(own, tap);
        tap = next_tap(tap);
        x.c = load_inputs(own, tap);
        tap = next_tap(tap);
        x.d = load_inputs(own, tap);
        tap = next_tap(tap);
        s0 = add_filters(s0, weight_taps(f0, k), x);
        if (ROWS > 1u) {
            s1 = add_filters(s1, weight_taps(f1, k), x);
        }
        if (ROWS > 2u) {
            s2 = add_filters(s2, weight_taps(f2, k), x);
            s3 = add_filters(s3, weight_taps(f3, k), x);
        }
    }
    // Loops, since every place that stores costs compilers time.
    for (var i = 0u; i < ROWS; i++) {
        store_filters(group, filter_index + 8u * i, pixel, s0);
        s0 = s1;
        s1 = s2;
        s2 = s3;
    }
}
