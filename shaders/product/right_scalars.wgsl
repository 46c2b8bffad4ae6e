// The right operand of a product, however it lies.

@group(0) @binding(2) var<storage, read_write> b: array<Element>;

fn right_quad(base: u32, depth: u32, columns: vec4<u32>) -> Quad {
    let places = base + min(depth, params.k - 1u) * params.b_depth + columns;
    let quad = Quad(b[places.x], b[places.y], b[places.z], b[places.w]);
    return select(Quad(), quad, depth < params.k);
}

// At depth .. depth + 4, a quad each: columns column .. column + 4 of the matrix that begins at `base`.
fn right_tile(base: u32, depth: u32, column: u32) -> Tile {
    let beside = vec4<u32>(column, column + 1u, column + 2u, column + 3u);
    let columns = min(beside, vec4<u32>(params.n - 1u)) * params.b_column;
    return Tile(
        right_quad(base, depth, columns),
        right_quad(base, depth + 1u, columns),
        right_quad(base, depth + 2u, columns),
        right_quad(base, depth + 3u, columns),
    );
}
