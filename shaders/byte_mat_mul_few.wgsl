// out[i, j] = tail(sum_k a[i, k] * b[j, k]) of bytes in every batch for few rows, on wide devices: b is read once.
//
//   a, b, out  batches of matrices: see bytes/operands.wgsl
//
// One workgroup: ROWS (1, 2, 4 or 8) rows x 64 columns. 256 invocations, of which 16 neighbours share four columns, each with
// every sixteenth quad of bytes; their sums are joined in workgroup memory.

var<workgroup> parts: array<vec4<i32>, 256>;

fn dot_quads(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

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
    let part = lane & 15u;
    let columns = lane >> 4u;
    let row = place.down * ROWS;
    let column = place.across * 64u + columns * 4u;
    let b0 = right_row(place.batch, column);
    let b1 = right_row(place.batch, column + 1u);
    let b2 = right_row(place.batch, column + 2u);
    let b3 = right_row(place.batch, column + 3u);
    var sums: array<vec4<i32>, ROWS>;
    for (var quad = part; quad < params.quads; quad += 16u) {
        let c0 = b[b0 + quad];
        let c1 = b[b1 + quad];
        let c2 = b[b2 + quad];
        let c3 = b[b3 + quad];
        for (var r = 0u; r < ROWS; r++) {
            let x = a[left_row(place.batch, row + r) + quad];
            sums[r] += vec4<i32>(dot_quads(x, c0), dot_quads(x, c1), dot_quads(x, c2), dot_quads(x, c3));
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        parts[columns * 16u + part] = sums[r];
        workgroupBarrier();
        if (lane < 16u) {
            var sum = parts[lane * 16u];
            for (var i = 1u; i < 16u; i++) {
                sum += parts[lane * 16u + i];
            }
            store_sums(place.batch, row + r, place.across * 64u + lane * 4u, sum);
        }
        workgroupBarrier();
    }
}
