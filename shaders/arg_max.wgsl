// out[r] = argmax_j x[r, j], the lowest index among equals; NaN never wins.
//
//   x    [rows, columns] f32
//   out  [rows] u32
//
// One workgroup: one row. Each invocation takes one contiguous run, so that it meets lower indices first.

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// Keys and indices of each invocation's best.
var<workgroup> keys: array<u32, LANES>;
var<workgroup> indices: array<u32, LANES>;

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
    keys[lane] = key;
    indices[lane] = index;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half >>= 1u) {
        if (lane < half) {
            let other = keys[lane + half];
            if (other > keys[lane] || (other == keys[lane] && indices[lane + half] < indices[lane])) {
                keys[lane] = other;
                indices[lane] = indices[lane + half];
            }
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        out[row] = indices[0];
    }
}
