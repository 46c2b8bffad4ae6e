// out[r, i] = e^(x[r, i] - max_j x[r, j]) / sum_j e^(x[r, j] - max), or its logarithm where LOG is 1
//
//   x, out  [rows, columns] f32
//
// One workgroup: one row.

struct Params {
    rows: u32,
    columns: u32,
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
    for (var i = lane; i < params.columns; i += LANES) {
        let exponent = x[base + i] - largest;
        if (LOG == 1u) {
            out[base + i] = exponent - log(total);
        } else {
            out[base + i] = exp(exponent) / total;
        }
    }
}
