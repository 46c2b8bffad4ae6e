// out[n, c, i] = sum x[n, c, k, o] over all places k of a block and all blocks o with i = o * stride + k * dilation - pad, in
// RANK dimensions.
//
//   x    [N, C, taps, blocks] f32
//   out  [N, C, inputs..] f32, `count` elements
//
// axes are those of a convolution whose windows are the blocks. One invocation: one element.

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
    taps: u32,
    blocks: u32,
    pad_0: u32,
    axes: array<Axis, RANK>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

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
    var sum = 0.0;
    for (var k = 0u; k < params.taps; k++) {
        var plane = i;
        var tap = k;
        var block = 0u;
        var stride = 1u;
        var there = true;
        for (var d = 0u; d < RANK; d++) {
            let axis = params.axes[RANK - 1u - d];
            // Wraps where the tap lies before the first.
            let distance = plane % axis.input + axis.pad - tap % axis.kernel * axis.dilation;
            let o = distance / axis.stride;
            there = there && o < axis.output && o * axis.stride == distance;
            block += o * stride;
            stride *= axis.output;
            plane /= axis.input;
            tap /= axis.kernel;
        }
        if (there) {
            sum += x[(plane * params.taps + k) * params.blocks + block];
        }
    }
    out[i] = sum;
}
