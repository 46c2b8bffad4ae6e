// Operands of dense attention whose columns are contiguous and begin at whole quads. Rows beyond the last repeat it, but for those of
// values, which are zero, as is what lies beyond the last column.

@group(0) @binding(1) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> v: array<vec4<f32>>;

fn query_quad(base: u32, row: u32, column: u32) -> vec4<f32> {
    let quad = q[(base + min(row, params.rows - 1u) * params.q_row + min(column, DEPTH - 4u)) / 4u];
    return select(vec4<f32>(), quad, column < DEPTH);
}

fn key_quad(base: u32, row: u32, column: u32) -> vec4<f32> {
    let quad = k[(base + min(row, params.keys - 1u) * params.k_row + min(column, DEPTH - 4u)) / 4u];
    return select(vec4<f32>(), quad, column < DEPTH);
}

fn value_quad(base: u32, row: u32, column: u32) -> vec4<f32> {
    let quad = v[(base + min(row, params.keys - 1u) * params.v_row + min(column, WIDTH - 4u)) / 4u];
    return select(vec4<f32>(), quad, row < params.keys && column < WIDTH);
}
