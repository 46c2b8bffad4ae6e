// The right operand of a product where its rows [n] are contiguous and n is a multiple of four.

@group(0) @binding(2) var<storage, read_write> b: array<Quad>;

fn right_quad(place: u32, depth: u32) -> Quad {
    let quad = b[(place + min(depth, params.k - 1u) * params.b_depth) / 4u];
    return select(Quad(), quad, depth < params.k);
}

// At depth .. depth + 4, a quad each: columns column .. column + 4 of the matrix that begins at `base`.
fn right_tile(base: u32, depth: u32, column: u32) -> Tile {
    let place = base + min(column, params.n - 4u);
    return Tile(
        right_quad(place, depth),
        right_quad(place, depth + 1u),
        right_quad(place, depth + 2u),
        right_quad(place, depth + 3u),
    );
}
