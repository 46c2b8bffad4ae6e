// bytes[r, k] = tail(x[r, k]), four to a word, and zeros behind each row. Rows lie along any dimension of x.
//
//   x       [outer, k, inner] Element (a provider says what that is)
//   packed  [outer, inner, words] u32: the first byte of four in the lowest bits
//
// One invocation: a word. Neighbours read neighbouring elements.

struct Params {
    // Words of all rows, words of a row.
    count: u32,
    words: u32,
    k: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> packed: array<u32>;

fn byte(outer: u32, k: u32, inner: u32) -> i32 {
    if (k >= params.k) {
        return 0;
    }
    let index = (outer * params.k + k) * params.inner + inner;
    return tail(x[index], index, k);
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
    let column = i / params.inner;
    let inner = i - column * params.inner;
    let outer = column / params.words;
    let word = column - outer * params.words;
    let k = word * 4u;
    let bytes = vec4<i32>(byte(outer, k, inner), byte(outer, k + 1u, inner), byte(outer, k + 2u, inner), byte(outer, k + 3u, inner));
    packed[(outer * params.inner + inner) * params.words + word] = pack4xI8(bytes);
}
