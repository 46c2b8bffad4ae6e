// out[i, j] = finish(sum_d a[i, d] * b[d, j]) in every batch, for devices that run few lanes, load for one lane after another and have
// integers of 64 bits.
//
//   a, b, out  batches of matrices of f32: see product/operands.wgsl; a by rows and b by columns, k a multiple of 8
//
// One workgroup: ROWS (8, 16 or 32) rows x 64 columns, its 8 lanes in one subgroup. Each lane has eight neighbouring columns of all rows, and
// loads every eighth row of a, which it hands round. Sums have constant places wherever they are named, so that they can stay in
// registers.

@group(0) @binding(1) var<storage, read_write> a: array<vec4<u64>>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4<u64>>;

// Those of each row.
var<private> sums: array<Floats, ROWS>;

// Eight columns of b at eight depths.
struct Piece {
    d0: Floats,
    d1: Floats,
    d2: Floats,
    d3: Floats,
    d4: Floats,
    d5: Floats,
    d6: Floats,
    d7: Floats,
}

fn left_eight(base: u32, row: u32, depth: u32) -> Floats {
    return floats_of(a[(base + min(row, params.m - 1u) * params.a_row + depth) / 8u]);
}

// Depths depth .. depth + 8 of a column; columns beyond the last repeat it.
fn right_eight(base: u32, depth: u32, column: u32) -> Floats {
    return floats_of(b[(base + min(column, params.n - 1u) * params.b_column + depth) / 8u]);
}

// Depths depth .. depth + 8 of columns column .. column + 8, of the matrix that begins at `base`.
fn right_piece(base: u32, depth: u32, column: u32) -> Piece {
    let c0 = right_eight(base, depth, column);
    let c1 = right_eight(base, depth, column + 1u);
    let c2 = right_eight(base, depth, column + 2u);
    let c3 = right_eight(base, depth, column + 3u);
    let c4 = right_eight(base, depth, column + 4u);
    let c5 = right_eight(base, depth, column + 5u);
    let c6 = right_eight(base, depth, column + 6u);
    let c7 = right_eight(base, depth, column + 7u);
    let near_low = transposed(c0.low, c1.low, c2.low, c3.low);
    let near_high = transposed(c4.low, c5.low, c6.low, c7.low);
    let far_low = transposed(c0.high, c1.high, c2.high, c3.high);
    let far_high = transposed(c4.high, c5.high, c6.high, c7.high);
    return Piece(
        Floats(near_low.q0, near_high.q0),
        Floats(near_low.q1, near_high.q1),
        Floats(near_low.q2, near_high.q2),
        Floats(near_low.q3, near_high.q3),
        Floats(far_low.q0, far_high.q0),
        Floats(far_low.q1, far_high.q1),
        Floats(far_low.q2, far_high.q2),
        Floats(far_low.q3, far_high.q3),
    );
}

fn add_depths(sum: vec4<f32>, x: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
    return fma(vec4<f32>(x.w), b3, fma(vec4<f32>(x.z), b2, fma(vec4<f32>(x.y), b1, fma(vec4<f32>(x.x), b0, sum))));
}

// Adds eight depths to the sums of row `i`, whose elements lane `lane` has.
fn add_row(i: u32, own: Floats, lane: u32, piece: Piece) {
    let near = subgroupShuffle(own.low, lane);
    let far = subgroupShuffle(own.high, lane);
    let low = add_depths(sums[i].low, near, piece.d0.low, piece.d1.low, piece.d2.low, piece.d3.low);
    let high = add_depths(sums[i].high, near, piece.d0.high, piece.d1.high, piece.d2.high, piece.d3.high);
    sums[i].low = add_depths(low, far, piece.d4.low, piece.d5.low, piece.d6.low, piece.d7.low);
    sums[i].high = add_depths(high, far, piece.d4.high, piece.d5.high, piece.d6.high, piece.d7.high);
}

fn add_rows(first: u32, own: Floats, piece: Piece) {
    add_row(first, own, 0u, piece);
    add_row(first + 1u, own, 1u, piece);
    add_row(first + 2u, own, 2u, piece);
    add_row(first + 3u, own, 3u, piece);
    add_row(first + 4u, own, 4u, piece);
    add_row(first + 5u, own, 5u, piece);
    add_row(first + 6u, own, 6u, piece);
    add_row(first + 7u, own, 7u, piece);
}

fn store_row(i: u32, batch: u32, row: u32, column: u32) {
    product_store_quad(batch, row + i, column, sums[i].low);
    product_store_quad(batch, row + i, column + 4u, sums[i].high);
}

fn store_rows(batch: u32, row: u32, column: u32) {
    store_row(0u, batch, row, column);
    store_row(1u, batch, row, column);
    store_row(2u, batch, row, column);
    store_row(3u, batch, row, column);
    store_row(4u, batch, row, column);
    store_row(5u, batch, row, column);
    store_row(6u, batch, row, column);
    store_row(7u, batch, row, column);
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
    let column = (place.across * 8u + lane) * 8u;
    for (var depth = 0u; depth < params.k; depth += 8u) {
        let piece = right_piece(place.b, depth, column);
        add_rows(0u, left_eight(place.a, row + lane, depth), piece);
        if (ROWS >= 16u) {
            add_rows(8u, left_eight(place.a, row + 8u + lane, depth), piece);
        }
        if (ROWS >= 32u) {
            add_rows(16u, left_eight(place.a, row + 16u + lane, depth), piece);
            add_rows(24u, left_eight(place.a, row + 24u + lane, depth), piece);
        }
    }
    // A loop, since every place that stores costs compilers time.
    for (var first = 0u; first < ROWS; first += 8u) {
        store_rows(place.batch, row + first, column);
        for (var i = 8u; i < ROWS; i++) {
            sums[i - 8u] = sums[i];
        }
    }
}
