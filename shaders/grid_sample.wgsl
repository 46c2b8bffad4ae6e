// out[n, c, p] = x[n, c] at the point grid[n, p], between elements by MODE: 0 the nearest, 1 linear, 2 cubic.
//
//   x     [batches, channels, up to three spatial dimensions] f32
//   grid  [batches, points, DIMS] f32: the last dimension of x first; -1 and 1 are its ends
//   out   [batches, channels, points] f32
//
// PADDING says what lies beyond x: 0 zeros, 1 its border, 2 x mirrored. ALIGNED says that -1 and 1 are the centres of the
// outermost elements, not their edges. One invocation: one element; neighbours have neighbouring points.

struct Params {
    count: u32,
    channels: u32,
    points: u32,
    depth: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> grid: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// The elements of one dimension around a point: the first one's place and their weights.
struct Taps {
    first: i32,
    weights: vec4<f32>,
}

// Where a point between -1 and 1 lies in a dimension of `len` elements, brought back into it.
fn point_of(normalized: f32, len: u32) -> f32 {
    let n = f32(len);
    var point = ((normalized + 1.0) * n - 1.0) * 0.5;
    if (ALIGNED == 1u) {
        point = (normalized + 1.0) * 0.5 * (n - 1.0);
    }
    if (MODE == 0u) {
        point = round(point);
    }
    let low = select(-0.5, 0.0, ALIGNED == 1u);
    let high = n - 1.0 - low;
    if (point >= low && point <= high) {
        return point;
    }
    if (PADDING == 1u) {
        return clamp(point, 0.0, n - 1.0);
    }
    if (PADDING == 2u) {
        let extent = high - low;
        let beyond = select(point - high, low - point, point < low);
        let turns = floor(beyond / max(extent, 0.5));
        let rest = min(beyond - turns * extent, extent);
        let back = (turns - 2.0 * floor(turns * 0.5)) == select(1.0, 0.0, point < low);
        return select(high - rest, low + rest, back);
    }
    return point;
}

// Keys' kernel at distances up to 1, and from 1 to 2, with the slope -0.75.
fn cubic_near(d: f32) -> f32 {
    return (1.25 * d - 2.25) * d * d + 1.0;
}

fn cubic_far(d: f32) -> f32 {
    return ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0;
}

fn taps_at(point: f32) -> Taps {
    let below = floor(point);
    let f = point - below;
    // What is far outside is outside all the same.
    let place = i32(clamp(below, -1e9, 1e9));
    if (MODE == 0u) {
        return Taps(place, vec4<f32>(1.0, 0.0, 0.0, 0.0));
    }
    if (MODE == 1u) {
        return Taps(place, vec4<f32>(1.0 - f, f, 0.0, 0.0));
    }
    return Taps(place - 1, vec4<f32>(cubic_far(1.0 + f), cubic_near(f), cubic_near(1.0 - f), cubic_far(2.0 - f)));
}

// The place of the element that a tap reads, -1 for zero.
fn place_of(place: i32, len: u32) -> i32 {
    let n = i32(len);
    if (PADDING == 0u) {
        return select(-1, place, place >= 0 && place < n);
    }
    if (PADDING == 2u) {
        let repeated = select(1, 0, ALIGNED == 1u);
        let period = max(2 * (n - 1 + repeated), 1);
        // GLSL leaves the remainder of negative numbers open, but not the quotient.
        let around = place - place / period * period;
        let q = select(around, around + period, around < 0);
        return clamp(select(q, period - repeated - q, q >= n), 0, n - 1);
    }
    return clamp(place, 0, n - 1);
}

fn taps_of(present: bool, at: u32, len: u32) -> Taps {
    if (present) {
        return taps_at(point_of(grid[at], len));
    }
    return Taps(0, vec4<f32>(1.0, 0.0, 0.0, 0.0));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) num_workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, num_workgroups) * 64u + lane;
    if (i >= params.count) {
        return;
    }
    let plane = i / params.points;
    let batch = plane / params.channels;
    let at = (batch * params.points + (i - plane * params.points)) * DIMS;
    let across = taps_of(true, at, params.width);
    let down = taps_of(DIMS >= 2u, at + min(1u, DIMS - 1u), params.height);
    let deep = taps_of(DIMS >= 3u, at + DIMS - 1u, params.depth);
    var sum = 0.0;
    for (var u = 0u; u < select(1u, TAPS, DIMS >= 3u); u++) {
        let z = place_of(deep.first + i32(u), params.depth);
        for (var v = 0u; v < select(1u, TAPS, DIMS >= 2u); v++) {
            let y = place_of(down.first + i32(v), params.height);
            let row = ((plane * params.depth + u32(max(z, 0))) * params.height + u32(max(y, 0))) * params.width;
            var row_sum = 0.0;
            for (var w = 0u; w < TAPS; w++) {
                let place = place_of(across.first + i32(w), params.width);
                row_sum += across.weights[w] * select(0.0, x[row + u32(max(place, 0))], place >= 0);
            }
            sum += select(0.0, deep.weights[u] * down.weights[v] * row_sum, y >= 0 && z >= 0);
        }
    }
    out[i] = sum;
}
