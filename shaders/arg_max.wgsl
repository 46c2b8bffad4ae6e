// The largest element of each row and its index, the lowest among equals; NaN never wins.
//
//   x        [rows, columns] f32
//   indices  [rows] u32
//   values   [rows] f32
//
// One workgroup: one row. Each invocation takes one contiguous run, so that it meets lower indices first.

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> values: array<f32>;

// Keys and indices of each invocation's best.
var<workgroup> best_keys: array<u32, LANES>;
var<workgroup> best_indices: array<u32, LANES>;

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
    let run = (params.columns + LANES - 1u) / LANES;
    let first = min(lane * run, params.columns);
    let end = min(first + run, params.columns);
    var key = 0u;
    var index = first;
    for (var i = first; i < end; i++) {
        let candidate = order_key(x[row * params.columns + i]);
        if (candidate > key) {
            key = candidate;
            index = i;
        }
    }
    best_keys[lane] = key;
    best_indices[lane] = index;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half >>= 1u) {
        if (lane < half) {
            let other = best_keys[lane + half];
            let lower = best_indices[lane + half] < best_indices[lane];
            if (other > best_keys[lane] || (other == best_keys[lane] && lower)) {
                best_keys[lane] = other;
                best_indices[lane] = best_indices[lane + half];
            }
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        indices[row] = best_indices[0];
        values[row] = number_of_key(best_keys[0]);
    }
}
