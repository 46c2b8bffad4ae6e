// The right operand of a product where its columns [k] are contiguous and k is a multiple of four.

@group(0) @binding(2) var<storage, read_write> b: array<Quad>;

fn right_quad(base: u32, depth: u32, column: u32) -> Quad {
    let quad = b[(base + min(column, params.n - 1u) * params.b_column + min(depth, params.k - 4u)) / 4u];
    return select(Quad(), quad, depth < params.k);
}

// At depth .. depth + 4, a quad each: columns column .. column + 4 of the matrix that begins at `base`.
fn right_tile(base: u32, depth: u32, column: u32) -> Tile {
    let c0 = right_quad(base, depth, column);
    let c1 = right_quad(base, depth, column + 1u);
    let c2 = right_quad(base, depth, column + 2u);
    let c3 = right_quad(base, depth, column + 3u);
    return Tile(
        Quad(c0.x, c1.x, c2.x, c3.x),
        Quad(c0.y, c1.y, c2.y, c3.y),
        Quad(c0.z, c1.z, c2.z, c3.z),
        Quad(c0.w, c1.w, c2.w, c3.w),
    );
}
