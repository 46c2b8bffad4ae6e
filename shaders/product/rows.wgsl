// Eight rows of the left operand of a product, loaded by every lane.

struct Rows {
    r0: Quad,
    r1: Quad,
    r2: Quad,
    r3: Quad,
    r4: Quad,
    r5: Quad,
    r6: Quad,
    r7: Quad,
}

// Rows row .. row + 8 at depth .. depth + 4, of the matrix that begins at `base`.
fn left_rows(base: u32, row: u32, depth: u32, lane: u32) -> Rows {
    return Rows(
        left_quad(base, row, depth),
        left_quad(base, row + 1u, depth),
        left_quad(base, row + 2u, depth),
        left_quad(base, row + 3u, depth),
        left_quad(base, row + 4u, depth),
        left_quad(base, row + 5u, depth),
        left_quad(base, row + 6u, depth),
        left_quad(base, row + 7u, depth),
    );
}
