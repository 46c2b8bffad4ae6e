// out[r, i] = tail((x[r, i] - m) / sqrt(mean_j((x[r, j] - m)^2) + epsilon)), m the row's mean where CENTERED is 1, else 0.
//
//   x, out  [rows, columns] f32
//
// One workgroup: one row. The mean comes first: a sum of squares less the mean's square would cancel.

struct Params {
    rows: u32,
    columns: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

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
    var mean = 0.0;
    if (CENTERED == 1u) {
        for (var i = lane; i < params.columns; i += LANES) {
            mean += x[base + i];
        }
        mean = reduce_add(lane, mean) / f32(params.columns);
    }
    var squares = 0.0;
    for (var i = lane; i < params.columns; i += LANES) {
        let value = x[base + i] - mean;
        squares = fma(value, value, squares);
    }
    let scale = inverseSqrt(reduce_add(lane, squares) / f32(params.columns) + params.epsilon);
    for (var i = lane; i < params.columns; i += LANES) {
        out[base + i] = tail((x[base + i] - mean) * scale, base + i, i);
    }
}
