// out[i, j] = tail(sum_k a[i, k] * b[j, k]) of bytes in every batch, on wide devices.
//
//   a, b, out  batches of matrices: see bytes/operands.wgsl
//
// One workgroup: 64 rows x 64 columns, 64 bytes of each at a time through workgroup memory. 64 invocations as 8 x 8, each
// with 8 rows x 8 columns of sums in registers, as 2 x 2 pieces of 4 x 4 that are 32 apart, so that neighbours touch
// neighbouring quads. On the way in each invocation carries a quad of four rows of both operands.

// Quads from one word of a tile's rows to the next: one more than it has, so that words lie in different banks.
const STRIDE: u32 = 17u;

// Quads of words of four rows, and of four columns, for every word of a row.
var<workgroup> a_tile: array<vec4<u32>, 272>;
var<workgroup> b_tile: array<vec4<u32>, 272>;

fn dots(a: u32, b: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot4I8Packed(a, b.x), dot4I8Packed(a, b.y), dot4I8Packed(a, b.z), dot4I8Packed(a, b.w));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = product_place(linear_workgroup(workgroup, grid));
    if (place.batch >= params.batches) {
        return;
    }
    let row = place.down * 64u;
    let column = place.across * 64u;
    let across = lane & 7u;
    let down = lane >> 3u;
    // The quad of bytes and the four rows that this invocation brings.
    let part = lane & 3u;
    let rows = lane >> 2u;
    let a0 = left_row(place.batch, row + rows * 4u);
    let a1 = left_row(place.batch, row + rows * 4u + 1u);
    let a2 = left_row(place.batch, row + rows * 4u + 2u);
    let a3 = left_row(place.batch, row + rows * 4u + 3u);
    let b0 = right_row(place.batch, column + rows * 4u);
    let b1 = right_row(place.batch, column + rows * 4u + 1u);
    let b2 = right_row(place.batch, column + rows * 4u + 2u);
    let b3 = right_row(place.batch, column + rows * 4u + 3u);
    let at = part * 4u * STRIDE + rows;
    var sums: array<array<vec4<i32>, 2>, 8>;
    for (var first = 0u; first < params.quads; first += 4u) {
        // Bytes of `a` beyond the last are zeros.
        let inside = first + part < params.quads;
        let quad = select(0u, first + part, inside);
        let r0 = select(vec4<u32>(), a[a0 + quad], inside);
        let r1 = select(vec4<u32>(), a[a1 + quad], inside);
        let r2 = select(vec4<u32>(), a[a2 + quad], inside);
        let r3 = select(vec4<u32>(), a[a3 + quad], inside);
        a_tile[at] = vec4<u32>(r0.x, r1.x, r2.x, r3.x);
        a_tile[at + STRIDE] = vec4<u32>(r0.y, r1.y, r2.y, r3.y);
        a_tile[at + 2u * STRIDE] = vec4<u32>(r0.z, r1.z, r2.z, r3.z);
        a_tile[at + 3u * STRIDE] = vec4<u32>(r0.w, r1.w, r2.w, r3.w);
        let c0 = b[b0 + quad];
        let c1 = b[b1 + quad];
        let c2 = b[b2 + quad];
        let c3 = b[b3 + quad];
        b_tile[at] = vec4<u32>(c0.x, c1.x, c2.x, c3.x);
        b_tile[at + STRIDE] = vec4<u32>(c0.y, c1.y, c2.y, c3.y);
        b_tile[at + 2u * STRIDE] = vec4<u32>(c0.z, c1.z, c2.z, c3.z);
        b_tile[at + 3u * STRIDE] = vec4<u32>(c0.w, c1.w, c2.w, c3.w);
        workgroupBarrier();
        for (var i = 0u; i < 16u; i++) {
            let upper = a_tile[i * STRIDE + down];
            let lower = a_tile[i * STRIDE + down + 8u];
            let left = b_tile[i * STRIDE + across];
            let right = b_tile[i * STRIDE + across + 8u];
            for (var j = 0u; j < 4u; j++) {
                sums[j][0] += dots(upper[j], left);
                sums[j][1] += dots(upper[j], right);
                sums[j + 4u][0] += dots(lower[j], left);
                sums[j + 4u][1] += dots(lower[j], right);
            }
        }
        workgroupBarrier();
    }
    for (var j = 0u; j < 8u; j++) {
        let r = row + down * 4u + (j & 3u) + (j >> 2u) * 32u;
        store_sums(place.batch, r, column + across * 4u, sums[j][0]);
        store_sums(place.batch, r, column + across * 4u + 32u, sums[j][1]);
    }
}
