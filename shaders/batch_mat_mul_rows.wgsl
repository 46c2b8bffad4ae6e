// out[i, j] = finish(sum_d a[i, d] * b[d, j]) in every batch, for devices that run few lanes and pay for barriers.
//
//   a, b, out  batches of matrices: see product/operands.wgsl
//
// One workgroup: ROWS (1, 8, 16 or 32) rows x 32 * QUADS columns (QUADS is 1 or 2), of which each lane has 4 * QUADS neighbours; no
// workgroup memory. Sums have constant places wherever they are named, so that they can stay in registers.

// Those of each four columns behind each other.
var<private> sums: array<Quad, ROWS * QUADS>;

// What lies beside four columns each; the second stays zero where QUADS is 1.
struct Tiles {
    t0: Tile,
    t1: Tile,
}

fn load_tiles(base: u32, depth: u32, column: u32) -> Tiles {
    var b = Tiles();
    b.t0 = right_tile(base, depth, column);
    if (QUADS > 1u) {
        b.t1 = right_tile(base, depth, column + 4u);
    }
    return b;
}

fn add_quad(i: u32, x: Quad, b: Tile) {
    var sum = multiply_add(Quad(x.x), b.q0, sums[i]);
    sum = multiply_add(Quad(x.y), b.q1, sum);
    sum = multiply_add(Quad(x.z), b.q2, sum);
    sums[i] = multiply_add(Quad(x.w), b.q3, sum);
}

fn add_row(row: u32, x: Quad, b: Tiles) {
    add_quad(row, x, b.t0);
    if (QUADS > 1u) {
        add_quad(ROWS + row, x, b.t1);
    }
}

fn add_rows(first: u32, x: Rows, b: Tiles) {
    add_row(first, x.r0, b);
    add_row(first + 1u, x.r1, b);
    add_row(first + 2u, x.r2, b);
    add_row(first + 3u, x.r3, b);
    add_row(first + 4u, x.r4, b);
    add_row(first + 5u, x.r5, b);
    add_row(first + 6u, x.r6, b);
    add_row(first + 7u, x.r7, b);
}

fn store_row(i: u32, batch: u32, row: u32, column: u32) {
    product_store_quad(batch, row + i, column, sums[i]);
    if (QUADS > 1u) {
        product_store_quad(batch, row + i, column + 4u, sums[ROWS + i]);
    }
}

fn store_rows(first: u32, batch: u32, row: u32, column: u32) {
    store_row(first, batch, row, column);
    store_row(first + 1u, batch, row, column);
    store_row(first + 2u, batch, row, column);
    store_row(first + 3u, batch, row, column);
    store_row(first + 4u, batch, row, column);
    store_row(first + 5u, batch, row, column);
    store_row(first + 6u, batch, row, column);
    store_row(first + 7u, batch, row, column);
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
    let column = (place.across * 8u + lane) * (4u * QUADS);
    for (var depth = 0u; depth < params.k; depth += 4u) {
        let b = load_tiles(place.b, depth, column);
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
        store_row(0u, place.batch, row, column);
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
