// The left operand of a product where its rows are contiguous and k is a multiple of 16, so that tiles end where it does.

@group(0) @binding(1) var<storage, read_write> a: array<Quad>;

// Row `row` at depth .. depth + 4, of the matrix that begins at `base`.
fn left_quad(base: u32, row: u32, depth: u32) -> Quad {
    return a[base / 4u + min(row, params.m - 1u) * (params.a_row / 4u) + depth / 4u];
}
