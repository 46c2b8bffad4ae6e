// Sums of tiles of f16 along all of K: the 16 products of a step are summed in f16, steps in f32.
//
// Pieces below each other are summed one after another, so that only the sums of two are in f16 at a time: more would take
// registers from the f32 ones. ACROSS is 2.

struct TotalPiece {
    s0: vec4<f32>,
    s1: vec4<f32>,
    s2: vec4<f32>,
    s3: vec4<f32>,
}

// By piece down and across, as `Sums`.
struct Totals {
    p00: TotalPiece,
    p01: TotalPiece,
    p10: TotalPiece,
    p11: TotalPiece,
}

// The sums of two pieces beside each other.
struct Beside {
    left: Piece,
    right: Piece,
}

fn add_piece(total: TotalPiece, piece: Piece) -> TotalPiece {
    return TotalPiece(
        total.s0 + vec4<f32>(piece.s0),
        total.s1 + vec4<f32>(piece.s1),
        total.s2 + vec4<f32>(piece.s2),
        total.s3 + vec4<f32>(piece.s3),
    );
}

// Adds the products of four depths, whose quads begin at `wide` and `high`.
fn add_beside(wide: u32, high: u32, sums: Beside) -> Beside {
    var s = sums;
    for (var i = 0u; i < 4u; i++) {
        let down = high_tile[high + i * HIGH];
        s.left = add_outer(down, wide_tile[wide + i * WIDE], s.left);
        s.right = add_outer(down, wide_tile[wide + i * WIDE + 16u], s.right);
    }
    return s;
}

// The products of both tiles for two pieces whose quads begin at `wide` and `high`.
fn sums_beside(wide: u32, high: u32) -> Beside {
    var s = add_beside(wide, high, Beside());
    s = add_beside(wide + WIDE_FOUR, high + HIGH_FOUR, s);
    s = add_beside(wide + 2u * WIDE_FOUR, high + 2u * HIGH_FOUR, s);
    return add_beside(wide + 3u * WIDE_FOUR, high + 3u * HIGH_FOUR, s);
}

// Adds the products of both tiles for the invocation at `across` and `down`.
fn add_to_totals(across: u32, down: u32, totals: Totals) -> Totals {
    var t = totals;
    let upper = sums_beside(across, down);
    t.p00 = add_piece(t.p00, upper.left);
    t.p01 = add_piece(t.p01, upper.right);
    if (DOWN == 2u) {
        workgroupBarrier();
        let lower = sums_beside(across, down + 8u);
        t.p10 = add_piece(t.p10, lower.left);
        t.p11 = add_piece(t.p11, lower.right);
    }
    return t;
}
