// out[t, i] = x[t, i] / sqrt(mean_i(x[t, i]^2) + epsilon) * gain[i]
//
//   x, out  [rows, columns] f32
//   gain    [columns] f32
//
// One workgroup: one row.

struct Params {
    rows: u32,
    columns: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_workgroup(workgroup, grid);
    if (row >= params.rows) {
        return;
    }
    let base = row * params.columns;
    var squares = 0.0;
    for (var i = lane; i < params.columns; i += LANES) {
        let value = x[base + i];
        squares = fma(value, value, squares);
    }
    let mean = reduce_add(lane, squares) / f32(params.columns);
    let scale = inverseSqrt(mean + params.epsilon);
    for (var i = lane; i < params.columns; i += LANES) {
        out[base + i] = x[base + i] * scale * gain[i];
    }
}
