// Eight rows of the left operand of a product, for workgroups of 8 lanes in one subgroup: each lane loads one row and hands
// it to the others.

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

// Rows row .. row + 8 at depth .. depth + 4, of the matrix that begins at `base`. All lanes must call with the same row.
fn left_rows(base: u32, row: u32, depth: u32, lane: u32) -> Rows {
    let own = left_quad(base, row + lane, depth);
    return Rows(
        subgroupBroadcast(own, 0u),
        subgroupBroadcast(own, 1u),
        subgroupBroadcast(own, 2u),
        subgroupBroadcast(own, 3u),
        subgroupBroadcast(own, 4u),
        subgroupBroadcast(own, 5u),
        subgroupBroadcast(own, 6u),
        subgroupBroadcast(own, 7u),
    );
}
