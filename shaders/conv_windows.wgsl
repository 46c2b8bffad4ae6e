// Lays the windows of a convolution side by side, for a product of filters and windows on devices that run few lanes: out[r, p] is the
// input beside tap r of all channels' taps and output p; zeros around the image.
//
//   x    [planes, inputs..] f32: N * groups * channels images of two dimensions
//   out  [planes * taps, pitch] f32, of which the first height * width of each row are written
//
// One invocation: a row of `out`, or `rows` rows of outputs of it.

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
    pitch: u32,
    rows: u32,
    pad_0: u32,
    height: Axis,
    width: Axis,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let height = params.height;
    let width = params.width;
    let index = workgroup.x * 8u + lane;
    if (index >= params.count) {
        return;
    }
    let line = index / width.kernel;
    let plane = line / height.kernel;
    // What lies before the image wraps.
    let left = (index - line * width.kernel) * width.dilation - width.pad;
    let top = (line - plane * height.kernel) * height.dilation - height.pad;
    let first = workgroup.y * params.rows;
    var to = index * params.pitch + first * width.output;
    for (var row = first; row < min(first + params.rows, height.output); row++) {
        let y = top + row * height.stride;
        let start = (plane * height.input + y) * width.input;
        for (var column = 0u; column < width.output; column++) {
            let at = left + column * width.stride;
            let there = y < height.input && at < width.input;
            out[to] = select(0.0, x[select(0u, start + at, there)], there);
            to++;
        }
    }
}
