// out[i] = the total of the elements up to i of its column of x, without i itself where EXCLUSIVE is 1, from the last one down
// where REVERSE is 1.
//
//   x, out  words of `count` columns: see `columns.wgsl`
//
// One workgroup: COLUMNS columns. Each invocation takes one contiguous run of a column: it folds the run, the runs' totals
// before its own make the total with which it starts over.

struct Params {
    count: u32,
    len: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

var<workgroup> totals: array<u32, LANES>;

// The index of step `i` through a column that begins at `start`.
fn step_index(start: u32, i: u32) -> u32 {
    return start + select(i, params.len - 1u - i, REVERSE == 1u) * params.stride;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = column_and_slice(lane, params.stride);
    let slice = place.y;
    let column = linear_workgroup(workgroup, grid) * COLUMNS + place.x;
    // Invocations beyond the last column only meet the barriers.
    let len = select(0u, params.len, column < params.count);
    let start = column_start(column, params.len, params.stride);
    let run = (params.len + SLICES - 1u) / SLICES;
    let first = min(slice * run, len);
    let end = min(first + run, len);
    var total = fold_start();
    if (SLICES > 1u) {
        for (var i = first; i < end; i++) {
            total = fold_join(total, fold_term(x[step_index(start, i)]));
        }
        totals[slice * COLUMNS + place.x] = total;
        workgroupBarrier();
        total = fold_start();
        for (var before = 0u; before < slice; before++) {
            total = fold_join(total, totals[before * COLUMNS + place.x]);
        }
    }
    for (var i = first; i < end; i++) {
        let at = step_index(start, i);
        let before = total;
        total = fold_join(total, fold_term(x[at]));
        out[at] = fold_element(select(total, before, EXCLUSIVE == 1u));
    }
}
