// out[0, j] = finish(sum_d a[0, d] * b[d, j]) in every batch, for devices that run few lanes, load for one lane after another and have
// integers of 64 bits.
//
//   a, b, out  batches of matrices of f32: see product/operands.wgsl; a of one row, b by columns, k a multiple of 64
//
// One workgroup: 32 columns, of which each of its 8 lanes, in one subgroup, has four neighbours. A lane walks its own columns from end to
// end; what is loaded of a is handed round and serves all of them.

@group(0) @binding(1) var<storage, read_write> a: array<vec4<u64>>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4<u64>>;

// The first eight of a column; columns beyond the last repeat it, and are not stored.
fn column_eights(base: u32, column: u32) -> u32 {
    return (base + min(column, params.n - 1u) * params.b_column) / 8u;
}

fn add_eight(sum: vec4<f32>, b: Floats, low: vec4<f32>, high: vec4<f32>) -> vec4<f32> {
    return fma(b.high, high, fma(b.low, low, sum));
}

// Adds 64 depths, which begin with the eight at `at`.
fn add_depths(sum: vec4<f32>, at: u32, x: QuadsPair) -> vec4<f32> {
    var s = add_eight(sum, floats_of(b[at]), x.low.q0, x.low.q1);
    s = add_eight(s, floats_of(b[at + 1u]), x.low.q2, x.low.q3);
    s = add_eight(s, floats_of(b[at + 2u]), x.low.q4, x.low.q5);
    s = add_eight(s, floats_of(b[at + 3u]), x.low.q6, x.low.q7);
    s = add_eight(s, floats_of(b[at + 4u]), x.high.q0, x.high.q1);
    s = add_eight(s, floats_of(b[at + 5u]), x.high.q2, x.high.q3);
    s = add_eight(s, floats_of(b[at + 6u]), x.high.q4, x.high.q5);
    return add_eight(s, floats_of(b[at + 7u]), x.high.q6, x.high.q7);
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = product_place(linear_workgroup(workgroup, grid));
    if (place.batch >= params.batches) {
        return;
    }
    let column = (place.across * 8u + lane) * 4u;
    let c0 = column_eights(place.b, column);
    let c1 = column_eights(place.b, column + 1u);
    let c2 = column_eights(place.b, column + 2u);
    let c3 = column_eights(place.b, column + 3u);
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var at = 0u; at < params.k / 8u; at += 8u) {
        let own = floats_of(a[place.a / 8u + at + lane]);
        let x = handed_round(own.low, own.high);
        s0 = add_depths(s0, c0 + at, x);
        s1 = add_depths(s1, c1 + at, x);
        s2 = add_depths(s2, c2 + at, x);
        s3 = add_depths(s3, c3 + at, x);
    }
    product_store_quad(place.batch, 0u, column, vec4<f32>(add_up(s0), add_up(s1), add_up(s2), add_up(s3)));
}
