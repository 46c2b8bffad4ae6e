// out[n, m, o] = tail(sum_c sum_k weight[m, c, k] * x[n, c, o + k - pad]) with 3 x 3 taps side by side, for devices that run few
// lanes, whose loads are dear and whose subgroups have at least 8 lanes.
//
//   x       [N, groups * channels, height, width] f32
//   weight  [groups * filters, channels, 3, 3] f32, a multiple of 4 numbers in all
//   out     [N, groups * filters, height, width] f32
//
// One workgroup: 8 * ROWS filters (ROWS is 1 or 2), 8 apart in each lane, for 2 rows of outputs of one group of one image in each of
// 8 / SEGMENT segments that lie below one another (SEGMENT is 8, 4 or 2): WIDTH outputs a row, which is 28 where SEGMENT is 8. Each lane loads four of
// the 4 * SEGMENT inputs of a row and hands them to the others; each is used by up to six taps of a filter.

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
    pad_0: u32,
    height: Axis,
    width: Axis,
}

// A row of inputs, or of the sums of one filter.
struct Row {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
    q4: vec4<f32>,
    q5: vec4<f32>,
    q6: vec4<f32>,
    q7: vec4<f32>,
}

// The taps of one filter and channel: four, four and one.
struct Taps {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// What every lane loaded, for every lane.
fn spread(own: vec4<f32>) -> Row {
    return Row(
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

// Three taps of a row beside four outputs, whose inputs begin with `x` and go on with `next`.
fn add_three(sum: vec4<f32>, a: f32, b: f32, c: f32, x: vec4<f32>, next: vec4<f32>) -> vec4<f32> {
    let x1 = vec4<f32>(x.yzw, next.x);
    let x2 = vec4<f32>(x.zw, next.xy);
    return fma(vec4<f32>(c), x2, fma(vec4<f32>(b), x1, fma(vec4<f32>(a), x, sum)));
}

fn add_nine(
    sum: vec4<f32>,
    w: Taps,
    x0: vec4<f32>,
    next0: vec4<f32>,
    x1: vec4<f32>,
    next1: vec4<f32>,
    x2: vec4<f32>,
    next2: vec4<f32>,
) -> vec4<f32> {
    var s = add_three(sum, w.a.x, w.a.y, w.a.z, x0, next0);
    s = add_three(s, w.a.w, w.b.x, w.b.y, x1, next1);
    return add_three(s, w.b.z, w.b.w, w.c.x, x2, next2);
}

// Adds a channel to a row of sums. The inputs after the last quad of a segment are the next one's. The outputs that they reach are not
// stored, but where a segment holds whole rows and the zero before them: there the first of these inputs is the zero after the row.
fn add_channel(sum: Row, w: Taps, x0: Row, x1: Row, x2: Row) -> Row {
    var s = sum;
    s.q0 = add_nine(s.q0, w, x0.q0, x0.q1, x1.q0, x1.q1, x2.q0, x2.q1);
    s.q1 = add_nine(s.q1, w, x0.q1, x0.q2, x1.q1, x1.q2, x2.q1, x2.q2);
    s.q2 = add_nine(s.q2, w, x0.q2, x0.q3, x1.q2, x1.q3, x2.q2, x2.q3);
    s.q3 = add_nine(s.q3, w, x0.q3, x0.q4, x1.q3, x1.q4, x2.q3, x2.q4);
    s.q4 = add_nine(s.q4, w, x0.q4, x0.q5, x1.q4, x1.q5, x2.q4, x2.q5);
    s.q5 = add_nine(s.q5, w, x0.q5, x0.q6, x1.q5, x1.q6, x2.q5, x2.q6);
    s.q6 = add_nine(s.q6, w, x0.q6, x0.q7, x1.q6, x1.q7, x2.q6, x2.q7);
    if (SEGMENT < 8u) {
        s.q7 = add_nine(s.q7, w, x0.q7, x0.q0, x1.q7, x1.q0, x2.q7, x2.q0);
    }
    return s;
}

// The four inputs of column `column` and on in row `row` of the image that begins at `base`; zeros outside.
fn input_quad(base: u32, row: u32, column: u32) -> vec4<f32> {
    let columns = column + vec4<u32>(0u, 1u, 2u, 3u);
    let there = (columns < vec4<u32>(params.width.input)) & vec4<bool>(row < params.height.input);
    let at = select(vec4<u32>(), base + row * params.width.input + columns, there);
    return select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), there);
}

fn store_one(plane: u32, row: u32, column: u32, channel: u32, sum: f32) {
    if (column < params.width.output) {
        let i = (plane * params.height.output + row) * params.width.output + column;
        out[i] = tail(sum, i, channel);
    }
}

// Stores quad `quad` of a row of sums, where it lies in the output.
fn store_quad(plane: u32, first: vec2<u32>, quad: u32, channel: u32, sum: vec4<f32>) {
    let row = first.x + quad / SEGMENT * 2u;
    let place = quad % SEGMENT * 4u;
    if (row < params.height.output) {
        store_one(plane, row, first.y + place, channel, sum.x);
        store_one(plane, row, first.y + place + 1u, channel, sum.y);
        if (place + 2u < WIDTH) {
            store_one(plane, row, first.y + place + 2u, channel, sum.z);
            store_one(plane, row, first.y + place + 3u, channel, sum.w);
        }
    }
}

fn store_row(group: u32, filter_index: u32, first: vec2<u32>, s: Row) {
    if (filter_index < params.filters) {
        let plane = group * params.filters + filter_index;
        let channel = plane % (params.groups * params.filters);
        store_quad(plane, first, 0u, channel, s.q0);
        store_quad(plane, first, 1u, channel, s.q1);
        store_quad(plane, first, 2u, channel, s.q2);
        store_quad(plane, first, 3u, channel, s.q3);
        store_quad(plane, first, 4u, channel, s.q4);
        store_quad(plane, first, 5u, channel, s.q5);
        store_quad(plane, first, 6u, channel, s.q6);
        if (SEGMENT < 8u) {
            store_quad(plane, first, 7u, channel, s.q7);
        }
    }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let columns = (params.width.output + WIDTH - 1u) / WIDTH;
    let first = vec2<u32>(workgroup.x / columns * (16u / SEGMENT), workgroup.x % columns * WIDTH);
    let filter_index = workgroup.y * (8u * ROWS) + lane;
    let group = workgroup.z;
    // Rows and columns before the image wrap.
    let row = first.x + lane / SEGMENT * 2u - params.height.pad;
    let column = first.y + lane % SEGMENT * 4u - params.width.pad;
    let size = params.height.input * params.width.input;
    // Filters beyond the last repeat it, since every lane is needed to load.
    let last = params.filters - 1u;
    let own = group % params.groups * params.filters;
    let f0 = (own + min(filter_index, last)) * params.channels * 9u;
    let f1 = (own + min(filter_index + 8u, last)) * params.channels * 9u;
    var a0 = Row();
    var a1 = Row();
    var b0 = Row();
    var b1 = Row();
    for (var c = 0u; c < params.channels; c++) {
        let base = (group * params.channels + c) * size;
        let x0 = spread(input_quad(base, row, column));
        let x1 = spread(input_quad(base, row + 1u, column));
        let x2 = spread(input_quad(base, row + 2u, column));
        let x3 = spread(input_quad(base, row + 3u, column));
        var w = taps_from(f0 + c * 9u);
        a0 = add_channel(a0, w, x0, x1, x2);
        b0 = add_channel(b0, w, x1, x2, x3);
        if (ROWS > 1u) {
            w = taps_from(f1 + c * 9u);
            a1 = add_channel(a1, w, x0, x1, x2);
            b1 = add_channel(b1, w, x1, x2, x3);
        }
    }
    let second = first + vec2<u32>(1u, 0u);
    store_row(group, filter_index, first, a0);
    store_row(group, filter_index, second, b0);
    if (ROWS > 1u) {
        store_row(group, filter_index + 8u, first, a1);
        store_row(group, filter_index + 8u, second, b1);
    }
}
