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

// What an invocation brings, and where it lies.
struct Own {
    // Whether it is a filter's weights for a channel or a tile's inputs of a channel.
    weights: bool,
    // Its channel of four, and the first element of that channel.
    channel: u32,
    at: u32,
    // Where its transforms go: a quad and an element of that.
    quad: u32,
    element: u32,
    // A tile's four rows and columns by element, and which of their 16 inputs are inside of the image.
    rows: vec4<u32>,
    columns: vec4<u32>,
    there_0: vec4<bool>,
    there_1: vec4<bool>,
    there_2: vec4<bool>,
    there_3: vec4<bool>,
}

// Three rows of weights, or four of inputs.
struct Rows {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

// Filters beyond the last repeat it; they are not stored, nor are tiles beyond the last.
fn own_of(workgroup: vec3<u32>, lane: u32) -> Own {
    var own: Own;
    own.weights = lane < 128u;
    own.channel = select(lane % 128u / 32u, lane % 4u, own.weights);
    let i = lane % 128u / select(1u, 4u, own.weights) % 32u;
    own.quad = select(TILES, 0u, own.weights) + own.channel * 8u + i / 4u;
    own.element = i % 4u;
    let filter_index = workgroup.z % params.groups * params.filters + min(workgroup.y * 32u + i, params.filters - 1u);
    let size = params.height.input * params.width.input;
    let first = workgroup.z * params.channels * size;
    own.at = select(first + own.channel * size, (filter_index * params.channels + own.channel) * 9u, own.weights);
    let tile = workgroup.x * 32u + i;
    let across = (params.width.output + 1u) / 2u;
    // Places before the image wrap.
    let rows = tile / across * 2u - params.height.pad + vec4<u32>(0u, 1u, 2u, 3u);
    let columns = tile % across * 2u - params.width.pad + vec4<u32>(0u, 1u, 2u, 3u);
    own.rows = min(rows, vec4<u32>(params.height.input - 1u)) * params.width.input;
    own.columns = min(columns, vec4<u32>(params.width.input - 1u));
    let there = rows < vec4<u32>(params.height.input);
    let beside = columns < vec4<u32>(params.width.input);
    own.there_0 = beside & vec4<bool>(there.x);
    own.there_1 = beside & vec4<bool>(there.y);
    own.there_2 = beside & vec4<bool>(there.z);
    own.there_3 = beside & vec4<bool>(there.w);
    return own;
}

fn weight_row(at: u32) -> vec4<f32> {
    return vec4<f32>(weight[at], weight[at + 1u], weight[at + 2u], 0.0);
}

fn input_row(at: u32, columns: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(x[at + columns.x], x[at + columns.y], x[at + columns.z], x[at + columns.w]);
}

// Whether there is this invocation's channel of the four from `c` on. WHOLE says that channels are a multiple of four.
fn channel_there(own: Own, c: u32) -> bool {
    return (WHOLE == 1u) | (c + own.channel < params.channels);
}

// What this invocation brings of channels c .. c + 4; anything where there is no such channel.
fn load_rows(own: Own, c: u32) -> Rows {
    if (own.weights) {
        let at = select(0u, own.at + c * 9u, channel_there(own, c));
        return Rows(weight_row(at), weight_row(at + 3u), weight_row(at + 6u), vec4<f32>());
    }
    let at = select(0u, own.at + c * params.height.input * params.width.input, channel_there(own, c));
    return Rows(
        input_row(at + own.rows.x, own.columns),
        input_row(at + own.rows.y, own.columns),
        input_row(at + own.rows.z, own.columns),
        input_row(at + own.rows.w, own.columns),
    );
}

// Keeps a row of a transform, from element `element` of the transform on.
fn keep(own: Own, element: u32, row: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        shared_quads[own.quad + (element + j) * 32u][own.element] = row[j];
    }
}

fn weights_along(row: vec4<f32>) -> vec4<f32> {
    let ends = row.x + row.z;
    return vec4<f32>(row.x, 0.5 * (ends + row.y), 0.5 * (ends - row.y), row.z);
}

fn inputs_along(row: vec4<f32>, there: vec4<bool>) -> vec4<f32> {
    let v = select(vec4<f32>(), row, there);
    return vec4<f32>(v.x - v.z, v.y + v.z, v.z - v.y, v.y - v.w);
}

// Keeps the transform of what was loaded of channels c .. c + 4: zeros where there is no such channel.
fn keep_rows(own: Own, c: u32, rows: Rows) {
    let there = vec4<bool>(channel_there(own, c));
    if (own.weights) {
        let r0 = weights_along(select(vec4<f32>(), rows.r0, there));
        let r1 = weights_along(select(vec4<f32>(), rows.r1, there));
        let r2 = weights_along(select(vec4<f32>(), rows.r2, there));
        let ends = r0 + r2;
        keep(own, 0u, r0);
        keep(own, 4u, 0.5 * (ends + r1));
        keep(own, 8u, 0.5 * (ends - r1));
        keep(own, 12u, r2);
    } else {
        let r0 = inputs_along(rows.r0, own.there_0 & there);
        let r1 = inputs_along(rows.r1, own.there_1 & there);
        let r2 = inputs_along(rows.r2, own.there_2 & there);
        let r3 = inputs_along(rows.r3, own.there_3 & there);
        keep(own, 0u, r0 - r2);
        keep(own, 4u, r1 + r2);
        keep(own, 8u, r2 - r1);
        keep(own, 12u, r1 - r3);
    }
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
    let own = own_of(workgroup, lane);
    let last = (params.channels - 1u) / 4u * 4u;
    var rows = load_rows(own, 0u);
    // What this lane sums: an element, a block of filters and a block of tiles.
    let element = lane / 16u;
    let filters = lane % 16u / 4u;
    let tiles = lane % 4u;
    var sums: array<array<vec4<f32>, 2>, 8>;
    for (var c = 0u; c < params.channels; c += 4u) {
        keep_rows(own, c, rows);
        workgroupBarrier();
        // After the last channels they are loaded again.
        rows = load_rows(own, min(c + 4u, last));
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
