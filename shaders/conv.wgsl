// out[n, m, o] = tail(sum_c sum_k weight[m, c, k] * x[n, c, o * stride + k * dilation - pad]), with any parameters.
//
//   x       [N, groups * channels, inputs..] (a provider names the type of elements)
//   weight  [groups * filters, channels, kernel..]
//   out     [N, groups * filters, outputs..], `count` elements
//
// axes are depth, height and width. One invocation: one element.

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
@group(0) @binding(1) var<storage, read_write> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> weight: array<Element>;
@group(0) @binding(3) var<storage, read_write> out: array<Element>;

// The input beside tap `tap` of output `o`; beyond the last one where there is none.
fn source(axis: Axis, o: u32, tap: u32) -> u32 {
    return o * axis.stride + tap * axis.dilation - axis.pad;
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
    let row = i / width.output;
    let plane = row / height.output;
    let image_filter = plane / depth.output;
    let place = vec3<u32>(plane % depth.output, row % height.output, i % width.output);
    let all_filters = params.groups * params.filters;
    let filter_index = image_filter % all_filters;
    let group = image_filter / all_filters * params.groups + filter_index / params.filters;
    let first = group * params.channels;
    var w = filter_index * params.channels * depth.kernel * height.kernel * width.kernel;
    var sum = Element();
    for (var c = first; c < first + params.channels; c++) {
        for (var kz = 0u; kz < depth.kernel; kz++) {
            let z = source(depth, place.x, kz);
            for (var ky = 0u; ky < height.kernel; ky++) {
                let y = source(height, place.y, ky);
                let base = ((c * depth.input + z) * height.input + y) * width.input;
                for (var kx = 0u; kx < width.kernel; kx++) {
                    let column = source(width, place.z, kx);
                    if (z < depth.input && y < height.input && column < width.input) {
                        sum += weight[w] * x[base + column];
                    }
                    w++;
                }
            }
        }
    }
    out[i] = tail(sum, i, filter_index);
}
