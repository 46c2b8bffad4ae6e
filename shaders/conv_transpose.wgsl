// out[n, m, i] = tail(sum weight[c, m, k] * x[n, c, o]) over all channels c of the group of m, and all o and k with
// i = o * stride + k * dilation - pad.
//
//   x       [N, groups * channels, outputs..] f32
//   weight  [groups * channels, filters, kernel..] f32
//   out     [N, groups * filters, inputs..] f32, `count` elements
//
// axes are depth, height and width of the convolution of which this is the transpose: its inputs are the outputs here. One
// invocation: one element.

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
    filters: u32,
    groups: u32,
    axes: array<Axis, 3>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// The o that tap `tap` brings to place `i`; beyond the last one where there is none.
fn origin(axis: Axis, i: u32, tap: u32) -> u32 {
    // Wraps where the tap lies before the first.
    let distance = i + axis.pad - tap * axis.dilation;
    let o = distance / axis.stride;
    return select(axis.output, o, o * axis.stride == distance);
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
    let depth = params.axes[0];
    let height = params.axes[1];
    let width = params.axes[2];
    let row = i / width.input;
    let plane = row / height.input;
    let image_filter = plane / depth.input;
    let place = vec3<u32>(plane % depth.input, row % height.input, i % width.input);
    let all_filters = params.groups * params.filters;
    let channel = image_filter % all_filters;
    let group = channel / params.filters;
    let first = group * params.channels;
    let image = image_filter / all_filters * params.groups * params.channels;
    let outputs = depth.output * height.output * width.output;
    let taps = depth.kernel * height.kernel * width.kernel;
    var sum = 0.0;
    for (var k = 0u; k < taps; k++) {
        let k_row = k / width.kernel;
        let z = origin(depth, place.x, k_row / height.kernel);
        let y = origin(height, place.y, k_row % height.kernel);
        let o = origin(width, place.z, k % width.kernel);
        if (z < depth.output && y < height.output && o < width.output) {
            let at = (z * height.output + y) * width.output + o;
            for (var c = first; c < first + params.channels; c++) {
                sum += weight[(c * params.filters + channel % params.filters) * taps + k] * x[(image + c) * outputs + at];
            }
        }
    }
    out[i] = tail(sum, i, channel);
}
