// out[p, s] = updates[t, s] where tuple t is the last that names slice p, else data[p, s]; out[p, 0] holds 1 + t, or 0.
//
//   data     [slices, slice] words
//   updates  [tuples, slice] words
//   out      [slices, slice] words, of which only begin .. begin + width of each slice are written
//
// Since the first words say what to take, they are written last, in a dispatch of their own.
//
// One invocation: one word.

struct Params {
    count: u32,
    slice: u32,
    begin: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> data: array<u32>;
@group(0) @binding(2) var<storage, read_write> updates: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

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
    let p = i / params.width;
    let s = params.begin + i - p * params.width;
    let mark = out[p * params.slice];
    if (mark > 0u) {
        out[p * params.slice + s] = updates[(mark - 1u) * params.slice + s];
    } else {
        out[p * params.slice + s] = data[p * params.slice + s];
    }
}
