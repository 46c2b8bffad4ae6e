// out[n, m, o] = tail(sum_k weight[m, k] * x[n, c, o * STRIDE + k - pad]) where each channel has filters of its own alone, with 3 x 3
// taps side by side, for devices whose loads are dear.
//
//   x       [N, groups, height, width] f32 (a provider loads it)
//   weight  [groups * filters, 3, 3] f32
//   out     [N, groups * filters, height, width] f32 (a provider stores it)
//
// STRIDE is 1 or 2 in both dimensions. PAD, the zeros before a row, is 0 or 1, so that inputs are loaded by aligned quads: 16 or 20
// of a row. One invocation: 8 outputs of 4 / STRIDE rows.

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
    // Tiles of 8 outputs by 4 / STRIDE rows in a row of them, and in all.
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

struct Sums {
    low: vec4<f32>,
    high: vec4<f32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;

// The inputs of row `row` (of the image that begins at row `base`) for outputs `column` .. `column` + 8.
fn load_row(base: u32, row: u32, column: u32) -> Streams {
    let there = row < params.height.input;
    let at = (base + select(0u, row, there)) * params.width.input;
    let first = column * STRIDE;
    // The quad before the first wraps where there is none.
    let q0 = input_quad(at, first - 4u, there && PAD > 0u);
    let q1 = input_quad(at, first, there);
    let q2 = input_quad(at, first + 4u, there);
    let q3 = input_quad(at, first + 8u, there);
    if (STRIDE == 1u) {
        var e0 = q1;
        var e1 = q2;
        var e2 = q3;
        if (PAD == 1u) {
            e0 = vec4<f32>(q0.w, q1.xyz);
            e1 = vec4<f32>(q1.w, q2.xyz);
            e2 = vec4<f32>(q2.w, q3.xyz);
        }
        return Streams(
            e0,
            e1,
            vec4<f32>(e0.yzw, e1.x),
            vec4<f32>(e1.yzw, e2.x),
            vec4<f32>(e0.zw, e1.xy),
            vec4<f32>(e1.zw, e2.xy),
        );
    }
    let q4 = input_quad(at, first + 12u, there);
    let even = Sums(vec4<f32>(q1.xz, q2.xz), vec4<f32>(q3.xz, q4.xz));
    let odd = Sums(vec4<f32>(q1.yw, q2.yw), vec4<f32>(q3.yw, q4.yw));
    if (PAD == 1u) {
        let before = Sums(vec4<f32>(q0.w, odd.low.xyz), vec4<f32>(odd.low.w, odd.high.xyz));
        return Streams(before.low, before.high, even.low, even.high, odd.low, odd.high);
    }
    let next = input_quad(at, first + 16u, there).x;
    let after = Sums(vec4<f32>(even.low.yzw, even.high.x), vec4<f32>(even.high.yzw, next));
    return Streams(even.low, even.high, odd.low, odd.high, after.low, after.high);
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

fn store_row(plane: u32, row: u32, column: u32, channel: u32, sums: Sums) {
    if (row < params.height.output) {
        let at = (plane * params.height.output + row) * params.width.output;
        store_quad(at, column, channel, sums.low);
        store_quad(at, column + 4u, channel, sums.high);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    if (i >= params.count) {
        return;
    }
    let down = (params.height.output * STRIDE + 3u) / 4u;
    let column = i % params.across * 8u;
    let row = i / params.across % down * (4u / STRIDE);
    let plane = i / params.across / down;
    let channel = plane % (params.groups * params.filters);
    let w = channel * 9u;
    let w0 = vec3<f32>(weight[w], weight[w + 1u], weight[w + 2u]);
    let w1 = vec3<f32>(weight[w + 3u], weight[w + 4u], weight[w + 5u]);
    let w2 = vec3<f32>(weight[w + 6u], weight[w + 7u], weight[w + 8u]);
    let base = plane / params.filters * params.height.input;
    // Rows before the image wrap.
    let y = row * STRIDE - params.height.pad;
    let x0 = load_row(base, y, column);
    let x1 = load_row(base, y + 1u, column);
    let x2 = load_row(base, y + 2u, column);
    let x3 = load_row(base, y + 3u, column);
    let x4 = load_row(base, y + 4u, column);
    let first = add_row(add_row(add_row(Sums(), w0, x0), w1, x1), w2, x2);
    if (STRIDE == 2u) {
        let second = add_row(add_row(add_row(Sums(), w0, x2), w1, x3), w2, x4);
        store_row(plane, row, column, channel, first);
        store_row(plane, row + 1u, column, channel, second);
    } else {
        let x5 = load_row(base, y + 5u, column);
        let second = add_row(add_row(add_row(Sums(), w0, x1), w1, x2), w2, x3);
        let third = add_row(add_row(add_row(Sums(), w0, x2), w1, x3), w2, x4);
        let fourth = add_row(add_row(add_row(Sums(), w0, x3), w1, x4), w2, x5);
        store_row(plane, row, column, channel, first);
        store_row(plane, row + 1u, column, channel, second);
        store_row(plane, row + 2u, column, channel, third);
        store_row(plane, row + 3u, column, channel, fourth);
    }
}
