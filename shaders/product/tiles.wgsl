// Sums of products of two tiles: one is 64 * ACROSS places wide, the other 32 * DOWN, both 16 depths deep. ACROSS and DOWN are 1 or 2.
//
// 128 invocations stand as 16 across x 8 down. Each sums 4 * ACROSS x 4 * DOWN products in registers, as pieces of 4 x 4 that are
// 64 places apart across and 32 down, so that neighbours read neighbouring quads. A depth is an outer product: two to four quads
// from workgroup memory for up to 64 products. Quads and their arithmetic come from `product/float` or `product/int`.

// Quads of a tile at one depth.
const WIDE: u32 = 16u * ACROSS;
const HIGH: u32 = 8u * DOWN;

// Quads from one four depths to the next. Two more than they have move depths that neighbouring invocations write at once to
// different banks; WIDE_PADDING is 2 where such write the wide tile, else 0.
const WIDE_FOUR: u32 = 4u * WIDE + WIDE_PADDING;
const HIGH_FOUR: u32 = 4u * HIGH + 2u;

// By depth: quads of places across, and of places down.
var<workgroup> wide_tile: array<Quad, 4u * WIDE_FOUR>;
var<workgroup> high_tile: array<Quad, 4u * HIGH_FOUR>;

// Where an invocation writes one place of a tile: a quad at its first depth, and an element of that.
struct Spot {
    quad: u32,
    element: u32,
}

fn wide_spot(place: u32) -> Spot {
    return Spot(place / 4u, place % 4u);
}

// For depths from `4 * four` on.
fn high_spot(place: u32, four: u32) -> Spot {
    return Spot(four * HIGH_FOUR + place / 4u, place % 4u);
}

// Depths 4 * four .. 4 * four + 4 of a place of the wide tile.
fn put_wide(spot: Spot, four: u32, depths: Quad) {
    let quad = spot.quad + four * WIDE_FOUR;
    wide_tile[quad][spot.element] = depths.x;
    wide_tile[quad + WIDE][spot.element] = depths.y;
    wide_tile[quad + 2u * WIDE][spot.element] = depths.z;
    wide_tile[quad + 3u * WIDE][spot.element] = depths.w;
}

// Four depths of a place of the high tile.
fn put_high(spot: Spot, depths: Quad) {
    high_tile[spot.quad][spot.element] = depths.x;
    high_tile[spot.quad + HIGH][spot.element] = depths.y;
    high_tile[spot.quad + 2u * HIGH][spot.element] = depths.z;
    high_tile[spot.quad + 3u * HIGH][spot.element] = depths.w;
}

// A depth each of four places of the wide tile, whose first quad is `quad`.
fn put_wide_quads(quad: u32, d0: Quad, d1: Quad, d2: Quad, d3: Quad) {
    wide_tile[quad] = d0;
    wide_tile[quad + WIDE] = d1;
    wide_tile[quad + 2u * WIDE] = d2;
    wide_tile[quad + 3u * WIDE] = d3;
}

// Sums of 4 x 4 products: a quad across for each place down.
struct Piece {
    s0: Quad,
    s1: Quad,
    s2: Quad,
    s3: Quad,
}

// An invocation's sums, by piece down and across; those that ACROSS and DOWN leave out stay zero.
struct Sums {
    p00: Piece,
    p01: Piece,
    p10: Piece,
    p11: Piece,
}

fn add_outer(down: Quad, across: Quad, sums: Piece) -> Piece {
    return Piece(
        multiply_add(Quad(down.x), across, sums.s0),
        multiply_add(Quad(down.y), across, sums.s1),
        multiply_add(Quad(down.z), across, sums.s2),
        multiply_add(Quad(down.w), across, sums.s3),
    );
}

// Adds the products of a depth, whose quads for this invocation begin at `wide` and `high`.
fn add_depth(wide: u32, high: u32, sums: Sums) -> Sums {
    var s = sums;
    let left = wide_tile[wide];
    let right = wide_tile[wide + 16u * (ACROSS - 1u)];
    let upper = high_tile[high];
    let lower = high_tile[high + 8u * (DOWN - 1u)];
    s.p00 = add_outer(upper, left, s.p00);
    if (ACROSS == 2u) {
        s.p01 = add_outer(upper, right, s.p01);
    }
    if (DOWN == 2u) {
        s.p10 = add_outer(lower, left, s.p10);
    }
    if (ACROSS == 2u && DOWN == 2u) {
        s.p11 = add_outer(lower, right, s.p11);
    }
    return s;
}

// Adds the products of four depths. Loops of four are short enough that compilers unroll them.
fn add_four(wide: u32, high: u32, sums: Sums) -> Sums {
    var s = sums;
    for (var i = 0u; i < 4u; i++) {
        s = add_depth(wide + i * WIDE, high + i * HIGH, s);
    }
    return s;
}

// Adds the products of both tiles for the invocation at `across` and `down`.
fn add_tiles(across: u32, down: u32, sums: Sums) -> Sums {
    var s = add_four(across, down, sums);
    s = add_four(across + WIDE_FOUR, down + HIGH_FOUR, s);
    s = add_four(across + 2u * WIDE_FOUR, down + 2u * HIGH_FOUR, s);
    return add_four(across + 3u * WIDE_FOUR, down + 3u * HIGH_FOUR, s);
}
