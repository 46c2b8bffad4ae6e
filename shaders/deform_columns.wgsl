// out[n, c * taps + k, o] = mask[n, g * taps + k, o] * x[n, c, o * stride + k * dilation - pad + offset], g the group of c, where a
// place between inputs takes a part of each of the four around it; zeros around x.
//
//   x       [N, channels, height, width] f32
//   offset  [N, groups, taps, 2, outputs] f32
//   mask    [N, groups, taps, outputs] f32, read where MASKED is 1
//   out     [N, channels, taps, outputs] f32, `count` elements
//
// One invocation: one element.

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
    count: u32,
    channels: u32,
    groups: u32,
    pad_0: u32,
    height: Axis,
    width: Axis,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> offset: array<f32>;
@group(0) @binding(3) var<storage, read_write> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

fn start(axis: Axis, o: u32, tap: u32) -> f32 {
    return f32(i32(o * axis.stride + tap * axis.dilation) - i32(axis.pad));
}

fn corner(plane: u32, place: vec2<i32>) -> f32 {
    let size = vec2<i32>(i32(params.height.input), i32(params.width.input));
    let there = all(place >= vec2<i32>()) && all(place < size);
    let nearest = clamp(place, vec2<i32>(), size - 1);
    return select(0.0, x[u32((i32(plane) * size.x + nearest.x) * size.y + nearest.y)], there);
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
    let outputs = params.height.output * params.width.output;
    let taps = params.height.kernel * params.width.kernel;
    let column = i / outputs;
    let o = i % outputs;
    let plane = column / taps;
    let k = column % taps;
    let group = plane / params.channels * params.groups + plane % params.channels / (params.channels / params.groups);
    let own = group * taps + k;
    let place = vec2<f32>(
        start(params.height, o / params.width.output, k / params.width.kernel) + offset[2u * own * outputs + o],
        start(params.width, o % params.width.output, k % params.width.kernel) + offset[(2u * own + 1u) * outputs + o],
    );
    var sum = 0.0;
    if (all(place > vec2<f32>(-1.0)) && all(place < vec2<f32>(f32(params.height.input), f32(params.width.input)))) {
        let far = place - floor(place);
        let near = vec2<f32>(1.0) - far;
        let first = vec2<i32>(floor(place));
        sum = near.x * near.y * corner(plane, first);
        sum += near.x * far.y * corner(plane, first + vec2<i32>(0, 1));
        sum += far.x * near.y * corner(plane, first + vec2<i32>(1, 0));
        sum += far.x * far.y * corner(plane, first + vec2<i32>(1, 1));
    }
    if (MASKED == 1u) {
        sum *= mask[own * outputs + o];
    }
    out[i] = sum;
}
