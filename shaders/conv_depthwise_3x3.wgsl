// out[n, m, o] = tail(sum_k weight[m, k] * x[n, c, o * STRIDE + k - pad]) where each channel has filters of its own alone, with 3 x 3
// taps side by side, for devices whose loads are dear.
//
//   x       [N, groups, height, width] f32 (a provider loads it)
//   weight  [groups * filters, 3, 3] f32
//   out     [N, groups * filters, height, width] f32 (a provider stores it)
//
// STRIDE is 1 or 2 in both dimensions. PAD, the zeros before a row, is 0 or 1, so that inputs are loaded by aligned quads. One
// invocation: 8 outputs of 8 / STRIDE rows, for which it loads 8 * STRIDE inputs of each row. The one before or
// after them is loaded alone.

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
    filters: u32,
    groups: u32,
    // Tiles of 8 outputs by 8 / STRIDE rows in a row of them, and in all.
    across: u32,
    count: u32,
    height: Axis,
    width: Axis,
}

// What the three taps of a row see beside 8 outputs.
struct Streams {
    a_low: vec4<f32>,
    a_high: vec4<f32>,
    b_low: vec4<f32>,
    b_high: vec4<f32>,
    c_low: vec4<f32>,
    c_high: vec4<f32>,
}

// The taps of a channel, by rows.
struct Taps {
    a: vec3<f32>,
    b: vec3<f32>,
    c: vec3<f32>,
}

// An invocation's share: its plane of outputs, the first of its rows and columns there, and what the tail
// reads of the plane's channel.
struct Tile {
    plane: u32,
    row: u32,
    column: u32,
    channel: TailChannel,
}

struct Sums {
    low: vec4<f32>,
    high: vec4<f32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;

// The input in `column` of the row that begins at `at`, if it is `there`; zero outside, as where `column` wraps.
fn input_one(at: u32, column: u32, there: bool) -> f32 {
    let inside = there && column < params.width.input;
    return select(0.0, input_single(select(0u, at + column, inside)), inside);
}

// The inputs of row `row` (of the image that begins at row `base`) for outputs `column` .. `column` + 8.
fn load_row(base: u32, row: u32, column: u32) -> Streams {
    let there = row < params.height.input;
    let at = (base + select(0u, row, there)) * params.width.input;
    let first = column * STRIDE;
    let q0 = input_quad(at, first, there);
    let q1 = input_quad(at, first + 4u, there);
    if (STRIDE == 1u) {
        let after = input_one(at, first + 8u, there);
        var e0 = q0;
        var e1 = q1;
        var e2 = vec2<f32>(after, 0.0);
        if (PAD == 1u) {
            e0 = vec4<f32>(input_one(at, first - 1u, there), q0.xyz);
            e1 = vec4<f32>(q0.w, q1.xyz);
            e2 = vec2<f32>(q1.w, after);
        } else {
            e2.y = input_one(at, first + 9u, there);
        }
        return Streams(
            e0,
            e1,
            vec4<f32>(e0.yzw, e1.x),
            vec4<f32>(e1.yzw, e2.x),
            vec4<f32>(e0.zw, e1.xy),
            vec4<f32>(e1.zw, e2),
        );
    }
    let q2 = input_quad(at, first + 8u, there);
    let q3 = input_quad(at, first + 12u, there);
    let even = Sums(vec4<f32>(q0.xz, q1.xz), vec4<f32>(q2.xz, q3.xz));
    let odd = Sums(vec4<f32>(q0.yw, q1.yw), vec4<f32>(q2.yw, q3.yw));
    if (PAD == 1u) {
        let before = input_one(at, first - 1u, there);
        let low = vec4<f32>(before, odd.low.xyz);
        return Streams(low, vec4<f32>(odd.low.w, odd.high.xyz), even.low, even.high, odd.low, odd.high);
    }
    let after = input_one(at, first + 16u, there);
    let next = Sums(vec4<f32>(even.low.yzw, even.high.x), vec4<f32>(even.high.yzw, after));
    return Streams(even.low, even.high, odd.low, odd.high, next.low, next.high);
}

fn add_row(sums: Sums, w: vec3<f32>, x: Streams) -> Sums {
    let a = vec4<f32>(w.x);
    let b = vec4<f32>(w.y);
    let c = vec4<f32>(w.z);
    return Sums(
        fma(c, x.c_low, fma(b, x.b_low, fma(a, x.a_low, sums.low))),
        fma(c, x.c_high, fma(b, x.b_high, fma(a, x.a_high, sums.high))),
    );
}

// Three rows of inputs and their taps.
fn sum_rows(w: Taps, a: Streams, b: Streams, c: Streams) -> Sums {
    return add_row(add_row(add_row(Sums(), w.a, a), w.b, b), w.c, c);
}

fn store_row(own: Tile, row: u32, sums: Sums) {
    if (own.row + row < params.height.output) {
        let at = (own.plane * params.height.output + own.row + row) * params.width.output;
        store_quad(at, own.column, own.channel, sums.low);
        store_quad(at, own.column + 4u, own.channel, sums.high);
    }
}

// Two rows of outputs from `first` on, and the last two rows of inputs of those before; yields the last two of these.
struct Pair {
    a: Streams,
    b: Streams,
}

fn add_pair(own: Tile, w: Taps, first: u32, before: Pair, base: u32, y: u32) -> Pair {
    let c = load_row(base, y, own.column);
    let d = load_row(base, y + 1u, own.column);
    store_row(own, first, sum_rows(w, before.a, before.b, c));
    store_row(own, first + 1u, sum_rows(w, before.b, c, d));
    return Pair(c, d);
}

// A row of outputs of stride 2, whose first row of inputs is `before`; yields the last one.
fn add_one(own: Tile, w: Taps, row: u32, before: Streams, base: u32, y: u32) -> Streams {
    let b = load_row(base, y, own.column);
    let c = load_row(base, y + 1u, own.column);
    store_row(own, row, sum_rows(w, before, b, c));
    return c;
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 8u + lane;
    if (i >= params.count) {
        return;
    }
    let down = (params.height.output * STRIDE + 7u) / 8u;
    let line = i / params.across;
    let plane = line / down;
    let row = (line - plane * down) * (8u / STRIDE);
    let channel = plane % (params.groups * params.filters);
    let own = Tile(plane, row, (i - line * params.across) * 8u, tail_channel(channel));
    let at = channel * 9u;
    let w = Taps(
        vec3<f32>(weight[at], weight[at + 1u], weight[at + 2u]),
        vec3<f32>(weight[at + 3u], weight[at + 4u], weight[at + 5u]),
        vec3<f32>(weight[at + 6u], weight[at + 7u], weight[at + 8u]),
    );
    let base = plane / params.filters * params.height.input;
    // Rows before the image wrap.
    let y = row * STRIDE - params.height.pad;
    let x0 = load_row(base, y, own.column);
    if (STRIDE == 2u) {
        var x = add_one(own, w, 0u, x0, base, y + 1u);
        x = add_one(own, w, 1u, x, base, y + 3u);
        x = add_one(own, w, 2u, x, base, y + 5u);
        x = add_one(own, w, 3u, x, base, y + 7u);
        return;
    }
    var x = Pair(x0, load_row(base, y + 1u, own.column));
    x = add_pair(own, w, 0u, x, base, y + 2u);
    x = add_pair(own, w, 2u, x, base, y + 4u);
    x = add_pair(own, w, 4u, x, base, y + 6u);
    x = add_pair(own, w, 6u, x, base, y + 8u);
}
