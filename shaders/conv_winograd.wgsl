// out[n, m, o] = tail(sum_c sum_k weight[m, c, k] * x[n, c, o + k - pad]) with 3 x 3 taps side by side, on wide devices, by Winograd's
// minimal filtering F(2 x 2, 3 x 3) (Lavin and Gray 2015, arXiv:1509.09308): 16 products make 4 outputs, not 36.
//
//   x       [N, groups * channels, height, width] f32
//   weight  [groups * filters, channels, 3, 3] f32
//   out     [N, groups * filters, height, width] f32
//
// One workgroup: 32 filters x 32 tiles of 2 x 2 outputs of one group of one image, 4 channels at a time through 16 KiB of workgroup
// memory. Half of the 256 invocations transform weights on their way in, half inputs; then 16 sum each of the 16 elements of the
// transforms, 8 filters x 8 tiles in registers. In the end sums go back through the workgroup memory, 8 filters at a time.

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
    pad_0: u32,
    height: Axis,
    width: Axis,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// By element of the transforms: 4 channels of 32 filters, and after all of those 4 channels of 32 tiles. In the end sums, by element,
// of 8 filters by 32 tiles.
var<workgroup> shared_quads: array<vec4<f32>, 1024>;

const TILES = 512u;

// Keeps a row of a transform for place `i` (0..32) of channel `channel`.
fn keep(first: u32, element: u32, channel: u32, i: u32, row: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        shared_quads[first + ((element + j) * 4u + channel) * 8u + i / 4u][i % 4u] = row[j];
    }
}

fn weight_row(row: vec3<f32>) -> vec4<f32> {
    let ends = row.x + row.z;
    return vec4<f32>(row.x, 0.5 * (ends + row.y), 0.5 * (ends - row.y), row.z);
}

// The transform of the weights of a filter for a channel: zeros where there is no such channel.
fn keep_weights(filter_index: u32, channel: u32, lane_channel: u32, i: u32) {
    let there = channel < params.channels;
    let at = select(0u, (filter_index * params.channels + channel) * 9u, there);
    let r0 = weight_row(vec3<f32>(weight[at], weight[at + 1u], weight[at + 2u]));
    let r1 = weight_row(vec3<f32>(weight[at + 3u], weight[at + 4u], weight[at + 5u]));
    let r2 = weight_row(vec3<f32>(weight[at + 6u], weight[at + 7u], weight[at + 8u]));
    let ends = r0 + r2;
    keep(0u, 0u, lane_channel, i, select(vec4<f32>(), r0, there));
    keep(0u, 4u, lane_channel, i, select(vec4<f32>(), 0.5 * (ends + r1), there));
    keep(0u, 8u, lane_channel, i, select(vec4<f32>(), 0.5 * (ends - r1), there));
    keep(0u, 12u, lane_channel, i, select(vec4<f32>(), r2, there));
}

// Four inputs of a row of the plane that begins at `base`, transformed along the row; zeros outside.
fn input_row(base: u32, row: u32, column: u32) -> vec4<f32> {
    let columns = column + vec4<u32>(0u, 1u, 2u, 3u);
    let there = (columns < vec4<u32>(params.width.input)) & vec4<bool>(row < params.height.input);
    let at = select(vec4<u32>(), base + row * params.width.input + columns, there);
    let v = select(vec4<f32>(), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), there);
    return vec4<f32>(v.x - v.z, v.y + v.z, v.z - v.y, v.y - v.w);
}

// The transform of the inputs of a tile in a plane: zeros where there is no such channel. Places before the image wrap.
fn keep_inputs(group: u32, channel: u32, place: vec2<u32>, lane_channel: u32, i: u32) {
    let there = channel < params.channels;
    let base = (group * params.channels + select(0u, channel, there)) * params.height.input * params.width.input;
    let row = select(params.height.input, place.x - params.height.pad, there);
    let column = place.y - params.width.pad;
    let r0 = input_row(base, row, column);
    let r1 = input_row(base, row + 1u, column);
    let r2 = input_row(base, row + 2u, column);
    let r3 = input_row(base, row + 3u, column);
    keep(TILES, 0u, lane_channel, i, r0 - r2);
    keep(TILES, 4u, lane_channel, i, r1 + r2);
    keep(TILES, 8u, lane_channel, i, r2 - r1);
    keep(TILES, 12u, lane_channel, i, r1 - r3);
}

// A row of the sums of filter `filter_index` (0..8) and tile `tile` (0..32), from element `element` on.
fn sum_row(element: u32, filter_index: u32, tile: u32) -> vec4<f32> {
    let at = (element * 8u + filter_index) * 8u + tile / 4u;
    let i = tile % 4u;
    return vec4<f32>(shared_quads[at][i], shared_quads[at + 64u][i], shared_quads[at + 128u][i], shared_quads[at + 192u][i]);
}

fn store_row(plane: u32, channel: u32, row: u32, column: u32, v: vec4<f32>) {
    let i = (plane * params.height.output + row) * params.width.output + column;
    if (row < params.height.output && column < params.width.output) {
        out[i] = tail(v.x + v.y + v.z, i, channel);
    }
    if (row < params.height.output && column + 1u < params.width.output) {
        out[i + 1u] = tail(v.y - v.z - v.w, i + 1u, channel);
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = workgroup.z;
    let across = (params.width.output + 1u) / 2u;
    // What this lane brings: a channel of a filter, or a channel of a tile. Filters beyond the last repeat it; they are not stored,
    // nor are tiles beyond the last.
    let brings_weights = lane < 128u;
    let own = (lane % 128u) / select(1u, 4u, brings_weights) % 32u;
    let own_channel = select((lane % 128u) / 32u, lane % 4u, brings_weights);
    let own_filter = group % params.groups * params.filters + min(workgroup.y * 32u + own, params.filters - 1u);
    let own_tile = workgroup.x * 32u + own;
    let own_place = vec2<u32>(own_tile / across, own_tile % across) * 2u;
    // What this lane sums: an element, a block of filters and a block of tiles.
    let element = lane / 16u;
    let filters = lane % 16u / 4u;
    let tiles = lane % 4u;
    var sums: array<array<vec4<f32>, 2>, 8>;
    for (var c = 0u; c < params.channels; c += 4u) {
        if (brings_weights) {
            keep_weights(own_filter, c + own_channel, own_channel, own);
        } else {
            keep_inputs(group, c + own_channel, own_place, own_channel, own);
        }
        workgroupBarrier();
        for (var i = 0u; i < 4u; i++) {
            let at = (element * 4u + i) * 8u;
            let w0 = shared_quads[at + filters * 2u];
            let w1 = shared_quads[at + filters * 2u + 1u];
            let x0 = shared_quads[TILES + at + tiles * 2u];
            let x1 = shared_quads[TILES + at + tiles * 2u + 1u];
            for (var f = 0u; f < 4u; f++) {
                sums[f][0] = fma(vec4<f32>(w0[f]), x0, sums[f][0]);
                sums[f][1] = fma(vec4<f32>(w0[f]), x1, sums[f][1]);
                sums[f + 4u][0] = fma(vec4<f32>(w1[f]), x0, sums[f + 4u][0]);
                sums[f + 4u][1] = fma(vec4<f32>(w1[f]), x1, sums[f + 4u][1]);
            }
        }
        workgroupBarrier();
    }
    let tile = workgroup.x * 32u + lane % 32u;
    let place = vec2<u32>(tile / across, tile % across) * 2u;
    for (var block = 0u; block < 4u; block++) {
        if (filters == block) {
            for (var f = 0u; f < 8u; f++) {
                shared_quads[(element * 8u + f) * 8u + tiles * 2u] = sums[f][0];
                shared_quads[(element * 8u + f) * 8u + tiles * 2u + 1u] = sums[f][1];
            }
        }
        workgroupBarrier();
        let f = lane / 32u;
        let filter_index = workgroup.y * 32u + block * 8u + f;
        let r0 = sum_row(0u, f, lane % 32u);
        let r1 = sum_row(4u, f, lane % 32u);
        let r2 = sum_row(8u, f, lane % 32u);
        let r3 = sum_row(12u, f, lane % 32u);
        if (filter_index < params.filters) {
            let plane = group * params.filters + filter_index;
            let channel = plane % (params.groups * params.filters);
            store_row(plane, channel, place.x, place.y, r0 + r1 + r2);
            store_row(plane, channel, place.x + 1u, place.y, r1 - r2 - r3);
        }
        workgroupBarrier();
    }
}
