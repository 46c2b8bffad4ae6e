// out[r] = log(sum_j e^x[r, j]) - x[r, targets[r]]
//
//   x        [rows, columns] f32
//   targets  [rows] u32; one beyond the last column takes the last
//   out      [rows] f32
//
// One workgroup: one row.

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> targets: array<u32>;
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
    var largest = x[base];
    for (var i = lane; i < params.columns; i += LANES) {
        largest = max(largest, x[base + i]);
    }
    largest = reduce_max(lane, largest);
    var total = 0.0;
    for (var i = lane; i < params.columns; i += LANES) {
        total += exp(x[base + i] - largest);
    }
    total = reduce_add(lane, total);
    if (lane == 0u) {
        out[row] = log(total) + (largest - x[base + min(targets[row], params.columns - 1u)]);
    }
}
