// out[i, j] = finish(sum_d a[i, d] * b[d, j]) in every batch, on wide devices.
//
//   a, b, out  batches of matrices: see product/operands.wgsl
//
// One workgroup: 32 * DOWN rows x 64 * ACROSS columns (see product/tiles.wgsl), 16 depths at a time through 12.25 KiB of workgroup
// memory at most; the next are on their way from memory while these are multiplied. Each invocation carries quads of one or two
// rows of a, and one of 64 * ACROSS a piece of 4 x 4 of b; DEPTH_FIRST says that neighbouring pieces of b lie along k.

const WIDE_PADDING: u32 = 2u;

// What an invocation brings.
struct Pieces {
    upper: Quad,
    lower: Quad,
    b: Tile,
}

// Where these lie in their tiles, and in their matrices: the first row, column and depths.
struct Own {
    upper: Spot,
    lower: Spot,
    wide: u32,
    row: u32,
    column: u32,
    a_depth: u32,
    b_depth: u32,
    brings_b: bool,
}

fn own_pieces(place: Place, lane: u32) -> Own {
    let four = select(lane / WIDE, lane % 4u, DEPTH_FIRST == 1u);
    let quad = select(lane % WIDE, lane / 4u, DEPTH_FIRST == 1u);
    return Own(
        high_spot(lane / 4u, lane % 4u),
        high_spot(lane / 4u + 32u, lane % 4u),
        four * WIDE_FOUR + quad,
        place.down * 32u * DOWN + lane / 4u,
        place.across * 64u * ACROSS + quad * 4u,
        lane % 4u * 4u,
        four * 4u,
        lane < 4u * WIDE,
    );
}

fn load_pieces(place: Place, own: Own, depth: u32) -> Pieces {
    var pieces: Pieces;
    pieces.upper = left_quad(place.a, own.row, depth + own.a_depth);
    if (DOWN == 2u) {
        pieces.lower = left_quad(place.a, own.row + 32u, depth + own.a_depth);
    }
    if (ACROSS == 2u || own.brings_b) {
        pieces.b = right_tile(place.b, depth + own.b_depth, own.column);
    }
    return pieces;
}

fn put_pieces(own: Own, pieces: Pieces) {
    put_high(own.upper, pieces.upper);
    if (DOWN == 2u) {
        put_high(own.lower, pieces.lower);
    }
    if (ACROSS == 2u || own.brings_b) {
        put_wide_quads(own.wide, pieces.b.q0, pieces.b.q1, pieces.b.q2, pieces.b.q3);
    }
}

fn store_piece(batch: u32, row: u32, column: u32, sums: Piece) {
    product_store_quad(batch, row, column, sums.s0);
    product_store_quad(batch, row + 1u, column, sums.s1);
    product_store_quad(batch, row + 2u, column, sums.s2);
    product_store_quad(batch, row + 3u, column, sums.s3);
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = product_place(linear_workgroup(workgroup, grid));
    if (place.batch >= params.batches) {
        return;
    }
    let own = own_pieces(place, lane);
    let across = lane % 16u;
    let down = lane / 16u;
    let last = (params.k - 1u) / 16u * 16u;
    var pieces = load_pieces(place, own, 0u);
    var sums: Sums;
    for (var depth = 0u; depth < params.k; depth += 16u) {
        put_pieces(own, pieces);
        workgroupBarrier();
        // After the last depths they are loaded again.
        pieces = load_pieces(place, own, min(depth + 16u, last));
        sums = add_tiles(across, down, sums);
        workgroupBarrier();
    }
    let row = place.down * 32u * DOWN + down * 4u;
    let column = place.across * 64u * ACROSS + across * 4u;
    store_piece(place.batch, row, column, sums.p00);
    if (ACROSS == 2u) {
        store_piece(place.batch, row, column + 64u, sums.p01);
    }
    if (DOWN == 2u) {
        store_piece(place.batch, row + 32u, column, sums.p10);
    }
    if (ACROSS == 2u && DOWN == 2u) {
        store_piece(place.batch, row + 32u, column + 64u, sums.p11);
    }
}
