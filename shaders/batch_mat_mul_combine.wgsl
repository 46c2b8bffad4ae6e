// out[batch, i, j] = finish(sum over p of parts[batch, p, i, j]): adds up what batch_mat_mul_parts leaves.
//
//   parts  [batches, parts, size / 4] quads
//   out    [batches, size]; size is m * n, and n a multiple of four
//
// One invocation: four neighbours.

struct Params {
    n: u32,
    size: u32,
    parts: u32,
    // Quads of the output.
    count: u32,
    scale: f32,
    pad_0: u32,
    pad_1: u32,
    pad_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parts: array<Quad>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 8u + lane;
    if (i >= params.count) {
        return;
    }
    let quads = params.size / 4u;
    let batch = i / quads;
    var at = batch * params.parts * quads + i - batch * quads;
    var sum = parts[at];
    for (var part = 1u; part < params.parts; part++) {
        at += quads;
        sum += parts[at];
    }
    let index = i * 4u;
    let column = index % params.n;
    out[index] = finish(sum.x, index, column);
    out[index + 1u] = finish(sum.y, index + 1u, column + 1u);
    out[index + 2u] = finish(sum.z, index + 2u, column + 2u);
    out[index + 3u] = finish(sum.w, index + 3u, column + 3u);
}
