// out[i] = tail(i): the tail reads all operands by itself.
//
//   out  [count] f32 or i32, as the tail's value is
//
// Operands that are broadcast along some dimensions, or lie in another order, are read through `strided`. `words` holds the RANK
// dimensions of the output and then, for each list of strides, the first element and RANK strides in elements.
//
// One workgroup: 64 elements.

struct Params {
    count: u32,
    words: array<vec4<u32>, WORDS>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<Value>;

fn word(i: u32) -> u32 {
    return params.words[i / 4u][i % 4u];
}

// The element that goes with element `index` of the output under the strides of list `list`.
fn strided(index: u32, list: u32) -> u32 {
    let first = RANK + list * (RANK + 1u);
    var rest = index;
    var at = word(first);
    for (var d = RANK - 1u; d > 0u; d--) {
        let n = word(d);
        let outer = rest / n;
        at += (rest - outer * n) * word(first + 1u + d);
        rest = outer;
    }
    return at + rest * word(first + 1u);
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
    out[i] = tail(i);
}
