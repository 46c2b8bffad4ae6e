// out[c] = the total of column c of x, as `fold.wgsl` puts elements together.
//
//   x    words of `count` columns: see `columns.wgsl`
//   out  [count] words
//
// One workgroup: COLUMNS columns. Each invocation folds every SLICES-th element, then halves fold the others' totals.

struct Params {
    count: u32,
    len: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

var<workgroup> totals: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = column_and_slice(lane, params.stride);
    let slice = place.y;
    let column = linear_workgroup(workgroup, grid) * COLUMNS + place.x;
    // Invocations beyond the last column repeat it, since all must meet the barriers.
    let start = column_start(min(column, params.count - 1u), params.len, params.stride);
    var total = fold_start();
    for (var i = slice; i < params.len; i += SLICES) {
        total = fold_join(total, fold_term(x[start + i * params.stride]));
    }
    if (SLICES > 1u) {
        let at = slice * COLUMNS + place.x;
        totals[at] = total;
        workgroupBarrier();
        for (var half = SLICES / 2u; half > 0u; half >>= 1u) {
            if (slice < half) {
                totals[at] = fold_join(totals[at], totals[at + half * COLUMNS]);
            }
            workgroupBarrier();
        }
        total = totals[at];
    }
    if (slice == 0u && column < params.count) {
        out[column] = fold_element(total);
    }
}
