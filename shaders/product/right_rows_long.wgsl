// The right operand of a product where its rows [n] are contiguous, n is a multiple of 16 and k one of 32: for batch_mat_mul_parts on
// devices that have integers of 64 bits.

@group(0) @binding(2) var<storage, read_write> b: array<vec4<u64>>;

// Columns column .. column + 16 of a depth, of the matrix that begins at `base`.
fn right_run(base: u32, depth: u32, column: u32) -> Run {
    let at = (base + depth * params.b_depth + column) / 8u;
    let near = floats_of(b[at]);
    let far = floats_of(b[at + 1u]);
    return Run(near.low, near.high, far.low, far.high);
}
