// out[n, o, k] = x[n, o * stride + k * dilation - pad]: the bytes under each tap of each window, one window after another.
//
//   x    [N, inputs.., quads] of 16 bytes: the channels of a place
//   out  [N, outputs, taps, quads], `count` quads
//
// axes are depth, height and width. One invocation: `run` neighbouring quads of one row of taps.

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
    // Runs.
    count: u32,
    quads: u32,
    // What stands around x.
    outside: u32,
    run: u32,
    axes: array<Axis, 3>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<u32>>;

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
    let first = i * params.run;
    let tap = first / params.quads;
    let tap_row = tap / width.kernel;
    let tap_slice = tap_row / height.kernel;
    let window = tap_slice / depth.kernel;
    let row = window / width.output;
    let slice = row / height.output;
    let image = slice / depth.output;
    let z = source(depth, slice - image * depth.output, tap_slice - window * depth.kernel);
    let y = source(height, row - slice * height.output, tap_row - tap_slice * height.kernel);
    let inside = z < depth.input && y < height.input;
    let line = ((image * depth.input + z) * height.input + y) * width.input;
    let column = window - row * width.output;
    var tap_column = tap - tap_row * width.kernel;
    var quad = first - tap * params.quads;
    for (var n = 0u; n < params.run; n++) {
        let at = source(width, column, tap_column);
        var bytes = vec4<u32>(params.outside);
        if (inside && at < width.input) {
            bytes = x[(line + at) * params.quads + quad];
        }
        out[first + n] = bytes;
        quad++;
        if (quad == params.quads) {
            quad = 0u;
            tap_column++;
        }
    }
}
