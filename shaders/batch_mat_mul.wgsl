// out[i, j] = finish(sum_d a[i, d] * b[d, j]) in every batch, on wide devices.
//
//   a, b, out  batches of matrices: see product/operands.wgsl
//
// One workgroup: 64 rows x 64 columns, 16 depths at a time through workgroup memory. 64 invocations as 8 x 8, each with 8
// rows x 8 columns of sums in registers, as 2 x 2 pieces of 4 x 4 that are 32 apart, so that neighbours touch neighbouring
// quads. On the way in each invocation carries a piece of 4 x 4 of both operands; DEPTH_FIRST says that neighbouring pieces
// of b lie along k.

// Quads from one depth of a tile to the next: one more than it has, so that depths lie in different banks.
const STRIDE: u32 = 17u;

// Quads of four rows, and of four columns, at every depth.
var<workgroup> a_tile: array<Quad, 272>;
var<workgroup> b_tile: array<Quad, 272>;

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
    // The pieces that this invocation brings: quads of depths, rows and columns.
    let a_depth = lane & 3u;
    let a_rows = lane >> 2u;
    let b_depth = select(lane >> 4u, lane & 3u, DEPTH_FIRST == 1u);
    let b_columns = select(lane & 15u, lane >> 2u, DEPTH_FIRST == 1u);
    var sums: array<array<Quad, 2>, 8>;
    for (var depth = 0u; depth < params.k; depth += 16u) {
        let r = row + a_rows * 4u;
        let d = depth + a_depth * 4u;
        let r0 = left_quad(place.a, r, d);
        let r1 = left_quad(place.a, r + 1u, d);
        let r2 = left_quad(place.a, r + 2u, d);
        let r3 = left_quad(place.a, r + 3u, d);
        let a_at = a_depth * 4u * STRIDE + a_rows;
        a_tile[a_at] = Quad(r0.x, r1.x, r2.x, r3.x);
        a_tile[a_at + STRIDE] = Quad(r0.y, r1.y, r2.y, r3.y);
        a_tile[a_at + 2u * STRIDE] = Quad(r0.z, r1.z, r2.z, r3.z);
        a_tile[a_at + 3u * STRIDE] = Quad(r0.w, r1.w, r2.w, r3.w);
        let b = right_tile(place.b, depth + b_depth * 4u, column + b_columns * 4u);
        let b_at = b_depth * 4u * STRIDE + b_columns;
        b_tile[b_at] = b.q0;
        b_tile[b_at + STRIDE] = b.q1;
        b_tile[b_at + 2u * STRIDE] = b.q2;
        b_tile[b_at + 3u * STRIDE] = b.q3;
        workgroupBarrier();
        for (var i = 0u; i < 16u; i++) {
            let upper = a_tile[i * STRIDE + down];
            let lower = a_tile[i * STRIDE + down + 8u];
            let left = b_tile[i * STRIDE + across];
            let right = b_tile[i * STRIDE + across + 8u];
            for (var j = 0u; j < 4u; j++) {
                sums[j][0] = multiply_add(Quad(upper[j]), left, sums[j][0]);
                sums[j][1] = multiply_add(Quad(upper[j]), right, sums[j][1]);
                sums[j + 4u][0] = multiply_add(Quad(lower[j]), left, sums[j + 4u][0]);
                sums[j + 4u][1] = multiply_add(Quad(lower[j]), right, sums[j + 4u][1]);
            }
        }
        workgroupBarrier();
    }
    for (var j = 0u; j < 8u; j++) {
        let r = row + down * 4u + (j & 3u) + (j >> 2u) * 32u;
        product_store_quad(place.batch, r, column + across * 4u, sums[j][0]);
        product_store_quad(place.batch, r, column + across * 4u + 32u, sums[j][1]);
    }
}
