// The right operand of a product where its rows [n] are contiguous, n is a multiple of four and k one of 16.

@group(0) @binding(2) var<storage, read_write> b: array<Quad>;

fn right_quad(place: u32, depth: u32) -> Quad {
    return b[place / 4u + depth * (params.b_depth / 4u)];
}

// At depth .. depth + 4, a quad each: columns column .. column + 4 of the matrix that begins at `base`.
fn right_tile(base: u32, depth: u32, column: u32) -> Tile {
    let row = params.b_depth / 4u;
    let at = base / 4u + min(column, params.n - 4u) / 4u + depth * row;
    return Tile(b[at], b[at + row], b[at + 2u * row], b[at + 3u * row]);
}
