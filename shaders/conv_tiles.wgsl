// out[n, m, p] = tail(sum_k weight[m, k] * window[k, p]) on wide devices. window[k, p] is the input beside tap k of all channels'
// taps and output p; a provider loads it.
//
//   weight  [groups * filters, depth] f32 (a provider loads it)
//   out     [N, groups * filters, pixels] f32 (a provider stores it)
//
// One workgroup: 64 filters x 64 outputs of one group of one image, 16 taps at a time through 8.25 KiB of workgroup memory. 256
// invocations as 16 x 16, each with 4 filters x 4 outputs of sums in registers.

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
    pixels: u32,
    inputs: u32,
    depth: u32,
    pad_0: u32,
    pad_1: u32,
    step: vec4<u32>,
    axes: array<Axis, 3>,
}

@group(0) @binding(0) var<uniform> params: Params;

// Quads of filters and of outputs, by tap. Rows of weights are longer by a quad, so that their columns are written to different
// banks.
var<workgroup> w_tile: array<vec4<f32>, 272>;
var<workgroup> x_tile: array<vec4<f32>, 256>;

fn store_filter(filter_index: u32, group: u32, pixel: u32, sum: vec4<f32>) {
    if (filter_index < params.filters) {
        let row = group * params.filters + filter_index;
        store_quad(row, pixel, row % (params.groups * params.filters), sum);
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = workgroup.x * 64u;
    let filter_index = workgroup.y * 64u;
    let group = workgroup.z;
    // Each lane brings four taps in a row of one filter, and of one output every fourth tap. Filters and outputs beyond the last
    // repeat it; they are not stored.
    let own_filter = lane / 4u;
    let own_quad = lane % 4u;
    let own_row = group % params.groups * params.filters + min(filter_index + own_filter, params.filters - 1u);
    let own_pixel = lane % 64u;
    let own_tap = lane / 64u;
    let window = window_pixel(pixel + own_pixel);
    var tap = tap_at(group * params.channels, own_tap);
    let across = lane % 16u;
    let down = lane / 16u;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var k = 0u; k < params.depth; k += 16u) {
        let w = weight_taps(own_row, k + own_quad * 4u);
        for (var i = 0u; i < 4u; i++) {
            w_tile[(own_quad * 4u + i) * 17u + own_filter / 4u][own_filter % 4u] = w[i];
            x_tile[(own_tap + i * 4u) * 16u + own_pixel / 4u][own_pixel % 4u] = window_input(window, tap);
            tap = next_tap(tap);
        }
        workgroupBarrier();
        for (var i = 0u; i < 16u; i++) {
            let weights = w_tile[i * 17u + down];
            let inputs = x_tile[i * 16u + across];
            s0 = fma(vec4<f32>(weights.x), inputs, s0);
            s1 = fma(vec4<f32>(weights.y), inputs, s1);
            s2 = fma(vec4<f32>(weights.z), inputs, s2);
            s3 = fma(vec4<f32>(weights.w), inputs, s3);
        }
        workgroupBarrier();
    }
    let first = filter_index + down * 4u;
    store_filter(first, group, pixel + across * 4u, s0);
    store_filter(first + 1u, group, pixel + across * 4u, s1);
    store_filter(first + 2u, group, pixel + across * 4u, s2);
    store_filter(first + 3u, group, pixel + across * 4u, s3);
}
