// out[i, j] = finish(sum_d a[i, d] * b[d, j]) in every batch for few rows, on wide devices: b is read once.
//
//   a, b, out  batches of matrices: see product/operands.wgsl
//
// One workgroup: ROWS (1, 2, 4 or 8) rows x 64 columns. 256 invocations, of which 16 share four columns, each with every
// sixteenth quad of depths; their sums are joined in workgroup memory. DEPTH_FIRST says that neighbouring quads of b lie
// along k.

var<workgroup> parts: array<Quad, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = product_place(linear_workgroup(workgroup, grid));
    if (place.batch >= params.batches) {
        return;
    }
    let part = select(lane >> 4u, lane & 15u, DEPTH_FIRST == 1u);
    let columns = select(lane & 15u, lane >> 4u, DEPTH_FIRST == 1u);
    let row = place.down * ROWS;
    let column = place.across * 64u + columns * 4u;
    var sums: array<Quad, ROWS>;
    for (var depth = part * 4u; depth < params.k; depth += 64u) {
        let b = right_tile(place.b, depth, column);
        for (var r = 0u; r < ROWS; r++) {
            let x = left_quad(place.a, row + r, depth);
            var sum = multiply_add(Quad(x.x), b.q0, sums[r]);
            sum = multiply_add(Quad(x.y), b.q1, sum);
            sum = multiply_add(Quad(x.z), b.q2, sum);
            sums[r] = multiply_add(Quad(x.w), b.q3, sum);
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        parts[part * 16u + columns] = sums[r];
        workgroupBarrier();
        if (lane < 16u) {
            var sum = parts[lane];
            for (var i = 1u; i < 16u; i++) {
                sum += parts[i * 16u + lane];
            }
            product_store_quad(place.batch, row + r, place.across * 64u + lane * 4u, sum);
        }
        workgroupBarrier();
    }
}
