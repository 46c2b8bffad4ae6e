// The left operand of a product, however it lies.

@group(0) @binding(1) var<storage, read_write> a: array<Element>;

// Row `row` at depth .. depth + 4, of the matrix that begins at `base`.
fn left_quad(base: u32, row: u32, depth: u32) -> Quad {
    let at = base + min(row, params.m - 1u) * params.a_row;
    let depths = vec4<u32>(depth, depth + 1u, depth + 2u, depth + 3u);
    let places = at + min(depths, vec4<u32>(params.k - 1u)) * params.a_depth;
    let quad = Quad(a[places.x], a[places.y], a[places.z], a[places.w]);
    return select(Quad(), quad, depths < vec4<u32>(params.k));
}
