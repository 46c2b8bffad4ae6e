// bytes[r, k] = tail(x[r, k]), four to a word, and zeros behind each row.
//
//   x       [rows, k] Element (a provider says what that is)
//   packed  [rows, words] u32: the first byte of four in the lowest bits
//
// One invocation: a word.

struct Params {
    // Words of all rows, words of a row, elements of a row.
    count: u32,
    words: u32,
    k: u32,
    pad: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> packed: array<u32>;

fn byte(row: u32, k: u32) -> i32 {
    if (k >= params.k) {
        return 0;
    }
    let index = row * params.k + k;
    return tail(x[index], index, k);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let word = linear_workgroup(workgroup, grid) * 64u + lane;
    if (word >= params.count) {
        return;
    }
    let row = word / params.words;
    let k = (word - row * params.words) * 4u;
    packed[word] = pack4xI8(vec4<i32>(byte(row, k), byte(row, k + 1u), byte(row, k + 2u), byte(row, k + 3u)));
}
