// out[i] = max over the window of x, as pool_max has it without indices, for devices that run few lanes: windows in two dimensions,
// without dilation, that all have an element.
//
//   x    words: i32 where INT is 1, else f32
//   out  [planes, height, width] words
//
// One invocation: four windows of a row. Taps outside the image are taken at its edge, which is in the window too, so that they change
// nothing.

@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

struct Best {
    words: vec4<u32>,
    keys: vec4<u32>,
}

fn key_of(word: u32) -> u32 {
    if (INT == 1u) {
        return word ^ 0x80000000u;
    }
    return order_key(bitcast<f32>(word));
}

fn better(best: Best, words: vec4<u32>) -> Best {
    let keys = vec4<u32>(key_of(words.x), key_of(words.y), key_of(words.z), key_of(words.w));
    let greater = keys > best.keys;
    return Best(select(best.words, words, greater), select(best.keys, keys, greater));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = params.dims[1];
    let width = params.dims[2];
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    let across = (width.windows + 3u) / 4u;
    let row = i / across;
    if (row * width.windows >= params.count) {
        return;
    }
    let column = (i - row * across) * 4u;
    let plane = row / height.windows;
    let top = i32((row - plane * height.windows) * height.stride) - i32(height.begin);
    let windows = vec4<i32>(i32(column)) + vec4<i32>(0, 1, 2, 3);
    let left = windows * i32(width.stride) - i32(width.begin);
    // The lowest words and keys: a first element is at least as great.
    var best = Best(vec4<u32>(LOWEST), vec4<u32>());
    for (var v = 0u; v < height.taps; v++) {
        let y = u32(clamp(top + i32(v), 0, i32(height.len) - 1));
        let base = (plane * height.len + y) * width.len;
        for (var w = 0u; w < width.taps; w++) {
            let at = base + vec4<u32>(clamp(left + i32(w), vec4<i32>(), vec4<i32>(i32(width.len) - 1)));
            best = better(best, vec4<u32>(x[at.x], x[at.y], x[at.z], x[at.w]));
        }
    }
    let to = row * width.windows + column;
    let there = min(width.windows - column, 4u);
    out[to] = best.words.x;
    if (there > 1u) {
        out[to + 1u] = best.words.y;
    }
    if (there > 2u) {
        out[to + 2u] = best.words.z;
    }
    if (there > 3u) {
        out[to + 3u] = best.words.w;
    }
}
