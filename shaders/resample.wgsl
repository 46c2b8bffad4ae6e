// out[.., j, ..] = sum_t weight[j, t] * x[.., index[j, t], ..] along one axis; the index -1 means the number `outside`, other
// indices are held within x.
//
//   x       [outer, len, inner] words of f32
//   index   [length, taps] i32
//   weight  [length, taps] f32
//   out     [outer, length, inner] words of f32
//
// Where SINGLE is 1 there is one tap, and an element of weight 1 is copied as it is. One invocation: one element.

struct Params {
    count: u32,
    inner: u32,
    len: u32,
    length: u32,
    taps: u32,
    outside: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;

fn element(base: u32, tap: u32) -> u32 {
    let place = index[tap];
    let word = x[base + u32(clamp(place, 0, i32(params.len) - 1)) * params.inner];
    return select(word, bitcast<u32>(params.outside), place < 0);
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
    let row = i / params.inner;
    let outer = row / params.length;
    let base = outer * params.len * params.inner + (i - row * params.inner);
    let first = (row - outer * params.length) * params.taps;
    if (SINGLE == 1u) {
        let word = element(base, first);
        let scaled = bitcast<u32>(weight[first] * bitcast<f32>(word));
        out[i] = select(scaled, word, weight[first] == 1.0);
        return;
    }
    var sum = 0.0;
    for (var t = first; t < first + params.taps; t++) {
        sum += weight[t] * bitcast<f32>(element(base, t));
    }
    out[i] = bitcast<u32>(sum);
}
