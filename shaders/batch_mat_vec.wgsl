// out[0, j] = finish(sum_d a[0, d] * b[d, j]) in every batch, for devices that run few lanes, load for one lane after another and have
// integers of 64 bits.
//
//   a, b, out  batches of matrices of f32: see product/operands.wgsl; a of one row, b by columns, k a multiple of 64
//
// One workgroup: eight columns. Its 8 lanes, in one subgroup, share every 64 depths of each, so that no more places are read at a time
// than the processor can foresee, nor lines kept that lie a power of two apart.

@group(0) @binding(1) var<storage, read_write> a: array<vec4<u64>>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4<u64>>;

// The first eight of a column; columns beyond the last repeat it, and are not stored.
fn column_eights(base: u32, column: u32) -> u32 {
    return (base + min(column, params.n - 1u) * params.b_column) / 8u;
}

fn add_eight(sum: f32, long: vec4<u64>, x: Floats) -> f32 {
    let b = floats_of(long);
    var s = fma(b.low.x, x.low.x, sum);
    s = fma(b.low.y, x.low.y, s);
    s = fma(b.low.z, x.low.z, s);
    s = fma(b.low.w, x.low.w, s);
    s = fma(b.high.x, x.high.x, s);
    s = fma(b.high.y, x.high.y, s);
    s = fma(b.high.z, x.high.z, s);
    return fma(b.high.w, x.high.w, s);
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
    let column = place.across * 8u;
    let c0 = column_eights(place.b, column);
    let c1 = column_eights(place.b, column + 1u);
    let c2 = column_eights(place.b, column + 2u);
    let c3 = column_eights(place.b, column + 3u);
    let c4 = column_eights(place.b, column + 4u);
    let c5 = column_eights(place.b, column + 5u);
    let c6 = column_eights(place.b, column + 6u);
    let c7 = column_eights(place.b, column + 7u);
    var s0 = 0.0;
    var s1 = 0.0;
    var s2 = 0.0;
    var s3 = 0.0;
    var s4 = 0.0;
    var s5 = 0.0;
    var s6 = 0.0;
    var s7 = 0.0;
    let first = place.a / 8u;
    for (var at = lane; at < params.k / 8u; at += 8u) {
        let x = floats_of(a[first + at]);
        s0 = add_eight(s0, b[c0 + at], x);
        s1 = add_eight(s1, b[c1 + at], x);
        s2 = add_eight(s2, b[c2 + at], x);
        s3 = add_eight(s3, b[c3 + at], x);
        s4 = add_eight(s4, b[c4 + at], x);
        s5 = add_eight(s5, b[c5 + at], x);
        s6 = add_eight(s6, b[c6 + at], x);
        s7 = add_eight(s7, b[c7 + at], x);
    }
    let low = vec4<f32>(subgroupAdd(s0), subgroupAdd(s1), subgroupAdd(s2), subgroupAdd(s3));
    let high = vec4<f32>(subgroupAdd(s4), subgroupAdd(s5), subgroupAdd(s6), subgroupAdd(s7));
    if (lane < 2u) {
        product_store_quad(place.batch, 0u, column + 4u * lane, select(low, high, lane == 1u));
    }
}
