// out[n, m, o] = tail(sum_c sum_k weight[m, c, k] * x[n, c, o + k - pad]) with 3 x 3 taps side by side, for devices that run few
// lanes, whose loads are dear and whose subgroups have at least 8 lanes.
//
//   x       [N, groups * channels, height, width] f32 (a provider loads it)
//   weight  [groups * filters, channels, 3, 3] f32, a multiple of 4 numbers in all
//   out     [N, groups * filters, height, width] f32 (a provider stores it)
//
// PAD, the zeros before a row, is 0 or 1, so that inputs are loaded by aligned quads. One workgroup: 8 * ROWS filters (ROWS is 1 or 2) for
// two rows of outputs of one group of one image in each of 8 / `segment` segments, of `segment` lanes each, that lie below one another. Each
// lane has 4 * QUADS neighbouring outputs (QUADS is 1 or 2) of both rows and all filters, and the taps of every eighth filter, which it
// hands to the others. WIDE says that a row may have inputs beside those of a segment.

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
    segment: u32,
    height: Axis,
    width: Axis,
}

// A lane's sums of a row. Those that QUADS leaves out stay zero.
struct Sums {
    low: vec4<f32>,
    high: vec4<f32>,
}

// The sums of one filter in both rows.
struct Pair {
    upper: Sums,
    lower: Sums,
}

struct Filters {
    f0: Pair,
    f1: Pair,
    f2: Pair,
    f3: Pair,
    f4: Pair,
    f5: Pair,
    f6: Pair,
    f7: Pair,
}

// What the three taps of a row see beside a lane's outputs.
struct Streams {
    a: Sums,
    b: Sums,
    c: Sums,
}

struct Inputs {
    r0: Streams,
    r1: Streams,
    r2: Streams,
    r3: Streams,
}

// The taps of one filter and channel: four, four and one.
struct Taps {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> weight: array<vec4<f32>>;

// The nine taps from weight `first` on, cut from the three quads in which they lie.
fn taps_from(first: u32) -> Taps {
    let at = first / 4u;
    var t = Taps(weight[at], weight[at + 1u], weight[at + 2u]);
    let by_one = Taps(vec4<f32>(t.a.yzw, t.b.x), vec4<f32>(t.b.yzw, t.c.x), t.c.yzww);
    let odd = vec4<bool>((first & 1u) == 1u);
    t = Taps(select(t.a, by_one.a, odd), select(t.b, by_one.b, odd), select(t.c, by_one.c, odd));
    let by_two = Taps(vec4<f32>(t.a.zw, t.b.xy), vec4<f32>(t.b.zw, t.c.xy), t.c.zwzw);
    let two = vec4<bool>((first & 2u) == 2u);
    return Taps(select(t.a, by_two.a, two), select(t.b, by_two.b, two), select(t.c, by_two.c, two));
}

// An input that another lane has loaded, which is `column` of the row that begins at `at`. At the ends of the subgroup, where `alone`,
// it is loaded.
fn input_beside(handed: f32, at: u32, column: u32, there: bool, alone: bool) -> f32 {
    let inside = there && column < params.width.input;
    var value = select(0.0, handed, inside);
    if (WIDE == 1u && alone && inside) {
        value = input_single(at + column);
    }
    return value;
}

// The inputs of row `row` of the image that begins at row `base`, beside outputs `column` and on.
fn load_row(base: u32, row: u32, column: u32, lane: u32) -> Streams {
    let there = row < params.height.input;
    let at = (base + select(0u, row, there)) * params.width.input;
    let low = input_quad(at, column, there);
    var high = vec4<f32>();
    if (QUADS > 1u) {
        high = input_quad(at, column + 4u, there);
    }
    let from_after = subgroupShuffle(low, min(lane, 6u) + 1u);
    let after = column + 4u * QUADS;
    let next = input_beside(from_after.x, at, after, there, lane == 7u);
    if (PAD == 0u) {
        let second = input_beside(from_after.y, at, after + 1u, there, lane == 7u);
        if (QUADS == 1u) {
            high = vec4<f32>(next, second, 0.0, 0.0);
        }
        return Streams(
            Sums(low, high),
            Sums(vec4<f32>(low.yzw, high.x), vec4<f32>(high.yzw, next)),
            Sums(vec4<f32>(low.zw, high.xy), vec4<f32>(high.zw, next, second)),
        );
    }
    let last = select(low.w, high.w, QUADS > 1u);
    // The column before a row wraps.
    let before = input_beside(subgroupShuffle(last, max(lane, 1u) - 1u), at, column - 1u, there, lane == 0u);
    if (QUADS == 1u) {
        high.x = next;
    }
    return Streams(
        Sums(vec4<f32>(before, low.xyz), vec4<f32>(low.w, high.xyz)),
        Sums(low, high),
        Sums(vec4<f32>(low.yzw, high.x), vec4<f32>(high.yzw, next)),
    );
}

// Three taps of a row.
fn add_three(sum: vec4<f32>, w: vec3<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    return fma(vec4<f32>(w.z), c, fma(vec4<f32>(w.y), b, fma(vec4<f32>(w.x), a, sum)));
}

fn add_row(sums: Sums, w: vec3<f32>, x: Streams) -> Sums {
    var s = sums;
    s.low = add_three(s.low, w, x.a.low, x.b.low, x.c.low);
    if (QUADS > 1u) {
        s.high = add_three(s.high, w, x.a.high, x.b.high, x.c.high);
    }
    return s;
}

fn add_nine(sums: Sums, w: Taps, x0: Streams, x1: Streams, x2: Streams) -> Sums {
    let s = add_row(add_row(sums, w.a.xyz, x0), vec3<f32>(w.a.w, w.b.xy), x1);
    return add_row(s, vec3<f32>(w.b.zw, w.c.x), x2);
}

// Adds a channel to the sums of a filter, whose taps lane `lane` has.
fn add_filter(sums: Pair, own: Taps, lane: u32, x: Inputs) -> Pair {
    let w = Taps(
        subgroupShuffle(own.a, lane),
        subgroupShuffle(own.b, lane),
        vec4<f32>(subgroupShuffle(own.c.x, lane), 0.0, 0.0, 0.0),
    );
    return Pair(add_nine(sums.upper, w, x.r0, x.r1, x.r2), add_nine(sums.lower, w, x.r1, x.r2, x.r3));
}

fn add_filters(sums: Filters, own: Taps, x: Inputs) -> Filters {
    return Filters(
        add_filter(sums.f0, own, 0u, x),
        add_filter(sums.f1, own, 1u, x),
        add_filter(sums.f2, own, 2u, x),
        add_filter(sums.f3, own, 3u, x),
        add_filter(sums.f4, own, 4u, x),
        add_filter(sums.f5, own, 5u, x),
        add_filter(sums.f6, own, 6u, x),
        add_filter(sums.f7, own, 7u, x),
    );
}

fn store_filter(group: u32, filter_index: u32, row: u32, column: u32, sums: Sums) {
    if (filter_index < params.filters && row < params.height.output) {
        let channel = tail_channel(group % params.groups * params.filters + filter_index);
        let at = ((group * params.filters + filter_index) * params.height.output + row) * params.width.output;
        store_quad(at, column, channel, sums.low);
        if (QUADS > 1u) {
            store_quad(at, column + 4u, channel, sums.high);
        }
    }
}

// Drops the upper row.
fn below(s: Pair) -> Pair {
    return Pair(s.lower, s.lower);
}

fn store_filters(group: u32, first: u32, row: u32, column: u32, sums: Filters) {
    var s = sums;
    for (var i = 0u; i < 2u; i++) {
        store_filter(group, first, row + i, column, s.f0.upper);
        store_filter(group, first + 1u, row + i, column, s.f1.upper);
        store_filter(group, first + 2u, row + i, column, s.f2.upper);
        store_filter(group, first + 3u, row + i, column, s.f3.upper);
        store_filter(group, first + 4u, row + i, column, s.f4.upper);
        store_filter(group, first + 5u, row + i, column, s.f5.upper);
        store_filter(group, first + 6u, row + i, column, s.f6.upper);
        store_filter(group, first + 7u, row + i, column, s.f7.upper);
        s = Filters(below(s.f0), below(s.f1), below(s.f2), below(s.f3), below(s.f4), below(s.f5), below(s.f6), below(s.f7));
    }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Workgroups that follow on each other share inputs.
    let filter_index = workgroup.x * (8u * ROWS);
    let run = 4u * QUADS;
    let segment = params.segment;
    let across = (params.width.output + run * segment - 1u) / (run * segment);
    let band = workgroup.y / across;
    let row = (band * (8u / segment) + lane / segment) * 2u;
    let column = ((workgroup.y - band * across) * segment + lane % segment) * run;
    let group = workgroup.z;
    // Filters beyond the last repeat it, since every lane is needed.
    let last = params.filters - 1u;
    let own = group % params.groups * params.filters;
    var f0 = (own + min(filter_index + lane, last)) * params.channels * 9u;
    var f1 = (own + min(filter_index + lane + 8u, last)) * params.channels * 9u;
    let height = params.height.input;
    let end = (group + 1u) * params.channels * height;
    // Rows before the image wrap.
    let y = row - params.height.pad;
    var a = Filters();
    var b = Filters();
    for (var base = group * params.channels * height; base < end; base += height) {
        let x = Inputs(
            load_row(base, y, column, lane),
            load_row(base, y + 1u, column, lane),
            load_row(base, y + 2u, column, lane),
            load_row(base, y + 3u, column, lane),
        );
        a = add_filters(a, taps_from(f0), x);
        f0 += 9u;
        if (ROWS > 1u) {
            b = add_filters(b, taps_from(f1), x);
            f1 += 9u;
        }
    }
    // Loops, since every place that stores costs compilers time.
    for (var i = 0u; i < ROWS; i++) {
        store_filters(group, filter_index + 8u * i, row, column, a);
        a = b;
    }
}
