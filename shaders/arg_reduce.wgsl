// out[c] = the index within column c of x of its greatest element (LARGEST 1) or its least one; of equals the last (LAST 1)
// or the first.
//
//   x    words of `count` columns: see `columns.wgsl`
//   out  [count] i32
//
// One workgroup: COLUMNS columns. Each invocation looks through every SLICES-th element, then halves compare with the others.

struct Params {
    count: u32,
    len: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// Keys and indices of each invocation's best.
var<workgroup> best: array<vec2<u32>, LANES>;

// The better of two pairs of a key and an index.
fn better(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let ahead = b.x > a.x || (b.x == a.x && (b.y > a.y) == (LAST == 1u));
    return select(a, b, ahead);
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
    // Invocations beyond the last column repeat it, since all must meet the barriers; slices beyond the end look at the last.
    let start = column_start(min(column, params.count - 1u), params.len, params.stride);
    let first = min(slice, params.len - 1u);
    var own = vec2<u32>(turned_key(element_key(x[start + first * params.stride])), first);
    for (var i = slice + SLICES; i < params.len; i += SLICES) {
        own = better(own, vec2<u32>(turned_key(element_key(x[start + i * params.stride])), i));
    }
    if (SLICES > 1u) {
        let at = slice * COLUMNS + place.x;
        best[at] = own;
        workgroupBarrier();
        for (var half = SLICES / 2u; half > 0u; half >>= 1u) {
            if (slice < half) {
                best[at] = better(best[at], best[at + half * COLUMNS]);
            }
            workgroupBarrier();
        }
        own = best[at];
    }
    if (slice == 0u && column < params.count) {
        out[column] = own.y;
    }
}
