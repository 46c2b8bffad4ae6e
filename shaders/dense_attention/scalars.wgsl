// Operands of dense attention, however they lie. Rows beyond the last repeat it, but for those of values, which are zero, as is what
// lies beyond the last column.

@group(0) @binding(1) var<storage, read_write> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> k: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;

fn quad_columns(column: u32) -> vec4<u32> {
    return vec4<u32>(column, column + 1u, column + 2u, column + 3u);
}

fn query_quad(base: u32, row: u32, column: u32) -> vec4<f32> {
    let columns = quad_columns(column);
    let at = base + min(row, params.rows - 1u) * params.q_row + min(columns, vec4<u32>(DEPTH - 1u)) * params.q_column;
    return select(vec4<f32>(), vec4<f32>(q[at.x], q[at.y], q[at.z], q[at.w]), columns < vec4<u32>(DEPTH));
}

fn key_quad(base: u32, row: u32, column: u32) -> vec4<f32> {
    let columns = quad_columns(column);
    let at = base + min(row, params.keys - 1u) * params.k_row + min(columns, vec4<u32>(DEPTH - 1u)) * params.k_column;
    return select(vec4<f32>(), vec4<f32>(k[at.x], k[at.y], k[at.z], k[at.w]), columns < vec4<u32>(DEPTH));
}

fn value_quad(base: u32, row: u32, column: u32) -> vec4<f32> {
    let columns = quad_columns(column);
    let at = base + min(row, params.keys - 1u) * params.v_row + min(columns, vec4<u32>(WIDTH - 1u)) * params.v_column;
    let inside = columns < select(vec4<u32>(), vec4<u32>(WIDTH), row < params.keys);
    return select(vec4<f32>(), vec4<f32>(v[at.x], v[at.y], v[at.z], v[at.w]), inside);
}
