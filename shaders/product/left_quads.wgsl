// The left operand of a product where its rows are contiguous and k is a multiple of four.

@group(0) @binding(1) var<storage, read_write> a: array<Quad>;

// Row `row` at depth .. depth + 4, of the matrix that begins at `base`.
fn left_quad(base: u32, row: u32, depth: u32) -> Quad {
    let quad = a[(base + min(row, params.m - 1u) * params.a_row + min(depth, params.k - 4u)) / 4u];
    return select(Quad(), quad, depth < params.k);
}
