// The right operand of a product where its columns [k] are contiguous and k is a multiple of 16.

@group(0) @binding(2) var<storage, read_write> b: array<Quad>;

fn right_quad(base: u32, depth: u32, column: u32) -> Quad {
    return b[base / 4u + min(column, params.n - 1u) * (params.b_column / 4u) + depth / 4u];
}

// At depth .. depth + 4, a quad each: columns column .. column + 4 of the matrix that begins at `base`.
fn right_tile(base: u32, depth: u32, column: u32) -> Tile {
    return transposed(
        right_quad(base, depth, column),
        right_quad(base, depth, column + 1u),
        right_quad(base, depth, column + 2u),
        right_quad(base, depth, column + 3u),
    );
}
