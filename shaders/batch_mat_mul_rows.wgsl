// out[i, j] = finish(sum_d a[i, d] * b[d, j]) in every batch, for devices that run few lanes and pay for barriers.
//
//   a, b, out  batches of matrices: see product/operands.wgsl
//
// One workgroup: ROWS (1, 8, 16 or 32) rows x 32 columns, four columns a lane; no workgroup memory. Sums have constant places
// wherever they are named, so that they can stay in registers.

var<private> sums: array<Quad, ROWS>;

fn add_row(row: u32, x: Quad, b: Tile) {
    var sum = multiply_add(Quad(x.x), b.q0, sums[row]);
    sum = multiply_add(Quad(x.y), b.q1, sum);
    sum = multiply_add(Quad(x.z), b.q2, sum);
    sums[row] = multiply_add(Quad(x.w), b.q3, sum);
}

fn add_rows(first: u32, x: Rows, b: Tile) {
    add_row(first, x.r0, b);
    add_row(first + 1u, x.r1, b);
    add_row(first + 2u, x.r2, b);
    add_row(first + 3u, x.r3, b);
    add_row(first + 4u, x.r4, b);
    add_row(first + 5u, x.r5, b);
    add_row(first + 6u, x.r6, b);
    add_row(first + 7u, x.r7, b);
}

fn store_rows(first: u32, batch: u32, row: u32, column: u32) {
    product_store_quad(batch, row + first, column, sums[first]);
    product_store_quad(batch, row + first + 1u, column, sums[first + 1u]);
    product_store_quad(batch, row + first + 2u, column, sums[first + 2u]);
    product_store_quad(batch, row + first + 3u, column, sums[first + 3u]);
    product_store_quad(batch, row + first + 4u, column, sums[first + 4u]);
    product_store_quad(batch, row + first + 5u, column, sums[first + 5u]);
    product_store_quad(batch, row + first + 6u, column, sums[first + 6u]);
    product_store_quad(batch, row + first + 7u, column, sums[first + 7u]);
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
    let row = place.down * ROWS;
    let column = place.across * 32u + lane * 4u;
    for (var depth = 0u; depth < params.k; depth += 4u) {
        let b = right_tile(place.b, depth, column);
        if (ROWS == 1u) {
            add_row(0u, left_quad(place.a, row, depth), b);
        } else {
            add_rows(0u, left_rows(place.a, row, depth, lane), b);
        }
        if (ROWS >= 16u) {
            add_rows(8u, left_rows(place.a, row + 8u, depth, lane), b);
        }
        if (ROWS >= 32u) {
            add_rows(16u, left_rows(place.a, row + 16u, depth, lane), b);
            add_rows(24u, left_rows(place.a, row + 24u, depth, lane), b);
        }
    }
    if (ROWS == 1u) {
        product_store_quad(place.batch, row, column, sums[0]);
    } else {
        store_rows(0u, place.batch, row, column);
    }
    if (ROWS >= 16u) {
        store_rows(8u, place.batch, row, column);
    }
    if (ROWS >= 32u) {
        store_rows(16u, place.batch, row, column);
        store_rows(24u, place.batch, row, column);
    }
}
