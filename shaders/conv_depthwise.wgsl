// out[n, m, o] = tail(sum_k weight[m, k] * x[n, c, o * stride + k - pad]) where each channel has filters of its own alone, in two
// dimensions without dilation.
//
//   x       [N, groups, height, width] f32
//   weight  [groups * filters, kernel..] f32
//   out     [N, groups * filters, height, width] f32
//
// One invocation: 8 neighbouring outputs of a row. Taps that are a stride apart see the same inputs, one output further: they move
// on by one, and only the last is loaded.

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
    // Runs of 8 outputs in a row, and in all.
    runs: u32,
    count: u32,
    height: Axis,
    width: Axis,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// The input in column `column` of the row that begins at `base`; zero outside.
fn input_or_zero(base: u32, column: u32) -> f32 {
    let there = column < params.width.input;
    return select(0.0, x[base + select(0u, column, there)], there);
}

fn store(base: u32, column: u32, channel: u32, sum: f32) {
    if (column < params.width.output) {
        out[base + column] = tail(sum, base + column, channel);
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
    let row = i / params.runs;
    let column = (i - row * params.runs) * 8u;
    let plane = row / params.height.output;
    let y = (row - plane * params.height.output) * params.height.stride - params.height.pad;
    let channel = plane % (params.groups * params.filters);
    let stride = params.width.stride;
    let start = column * stride - params.width.pad;
    let taps = params.width.kernel;
    var low = vec4<f32>();
    var high = vec4<f32>();
    for (var ky = 0u; ky < params.height.kernel; ky++) {
        if (y + ky < params.height.input) {
            let base = (plane / params.filters * params.height.input + y + ky) * params.width.input;
            let w = (channel * params.height.kernel + ky) * taps;
            for (var phase = 0u; phase < min(stride, taps); phase++) {
                let at = start + phase;
                var a = vec4<f32>(
                    input_or_zero(base, at),
                    input_or_zero(base, at + stride),
                    input_or_zero(base, at + 2u * stride),
                    input_or_zero(base, at + 3u * stride),
                );
                var b = vec4<f32>(
                    input_or_zero(base, at + 4u * stride),
                    input_or_zero(base, at + 5u * stride),
                    input_or_zero(base, at + 6u * stride),
                    input_or_zero(base, at + 7u * stride),
                );
                for (var kx = phase; kx < taps; kx += stride) {
                    let by = vec4<f32>(weight[w + kx]);
                    low = fma(by, a, low);
                    high = fma(by, b, high);
                    a = vec4<f32>(a.yzw, b.x);
                    b = vec4<f32>(b.yzw, input_or_zero(base, at + kx - phase + 8u * stride));
                }
            }
        }
    }
    let base = row * params.width.output;
    store(base, column, channel, low.x);
    store(base, column + 1u, channel, low.y);
    store(base, column + 2u, channel, low.z);
    store(base, column + 3u, channel, low.w);
    store(base, column + 4u, channel, high.x);
    store(base, column + 5u, channel, high.y);
    store(base, column + 6u, channel, high.z);
    store(base, column + 7u, channel, high.w);
}
