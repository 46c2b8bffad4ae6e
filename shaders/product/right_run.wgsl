// Sixteen columns of a right operand of which quads are loaded.

// Columns column .. column + 16 of a depth, of the matrix that begins at `base`. Columns beyond the last quad repeat it.
fn right_run(base: u32, depth: u32, column: u32) -> Run {
    let columns = vec4<u32>(column, column + 4u, column + 8u, column + 12u);
    let places = base + min(columns, vec4<u32>(params.n - 4u));
    return Run(
        right_quad(places.x, depth),
        right_quad(places.y, depth),
        right_quad(places.z, depth),
        right_quad(places.w, depth),
    );
}
