// out[c] = x[sum_d stride_d * place_d(c_d)], place = start + step * c: the words of x, whatever they mean.
//
//   x    words
//   out  [count] words
//
// BORDER says what a place outside of 0 .. extent means: 0 the nearest one inside, 1 the word `value` in place of an element,
// 2 the run taken around, 3 the run mirrored.
//
// One invocation: one element.

struct Axis {
    len: u32,
    start: i32,
    step: i32,
    extent: u32,
    stride: u32,
    pad_0: u32,
    pad_1: u32,
    pad_2: u32,
}

struct Params {
    count: u32,
    value: u32,
    pad_0: u32,
    pad_1: u32,
    axes: array<Axis, AXES>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// The remainder that is not negative. GLSL leaves `%` of a negative number open.
fn around(a: i32, n: i32) -> i32 {
    let r = a - a / n * n;
    return select(r, r + n, r < 0);
}

fn border_place(place: i32, extent: i32) -> i32 {
    if (BORDER == 2u) {
        return around(place, extent);
    }
    if (BORDER == 3u) {
        let period = max(2 * extent - 2, 1);
        let q = around(place, period);
        return select(q, period - q, q >= extent);
    }
    return clamp(place, 0, extent - 1);
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
    var rest = i;
    var at = 0u;
    var inside = true;
    for (var k = 0u; k < RANK; k++) {
        let axis = params.axes[RANK - 1u - k];
        let outer = rest / axis.len;
        let place = axis.start + axis.step * i32(rest - outer * axis.len);
        inside = inside && place >= 0 && place < i32(axis.extent);
        at += u32(border_place(place, i32(axis.extent))) * axis.stride;
        rest = outer;
    }
    out[i] = select(x[at], params.value, BORDER == 1u && !inside);
}
