// out[i, j] = tail(sum_k a[i, k] * b[j, k]) of bytes in every batch, for devices that run few lanes and pay for barriers.
//
//   a, b, out  batches of matrices: see bytes/operands.wgsl
//
// One workgroup: ROWS (1, 8, 16 or 32) rows x 32 columns, four columns a lane; no workgroup memory. Such devices multiply floats
// faster than bytes. Products are at most 2^14, so floats hold sums of 1024 of them exactly; then these are added up in i32.

// RowQuads of bytes after which sums go over into integers.
const EXACT: u32 = 64u;

var<private> sums: array<vec4<f32>, ROWS>;
var<private> totals: array<vec4<i32>, ROWS>;

// Four bytes of each of four columns: a vector of columns for each byte.
struct Bytes {
    k0: vec4<f32>,
    k1: vec4<f32>,
    k2: vec4<f32>,
    k3: vec4<f32>,
}

fn columns_of(w0: u32, w1: u32, w2: u32, w3: u32) -> Bytes {
    let c0 = floats(w0);
    let c1 = floats(w1);
    let c2 = floats(w2);
    let c3 = floats(w3);
    return Bytes(
        vec4<f32>(c0.x, c1.x, c2.x, c3.x),
        vec4<f32>(c0.y, c1.y, c2.y, c3.y),
        vec4<f32>(c0.z, c1.z, c2.z, c3.z),
        vec4<f32>(c0.w, c1.w, c2.w, c3.w),
    );
}

fn add_row(row: u32, x: vec4<f32>, b: Bytes) {
    var sum = fma(vec4<f32>(x.x), b.k0, sums[row]);
    sum = fma(vec4<f32>(x.y), b.k1, sum);
    sum = fma(vec4<f32>(x.z), b.k2, sum);
    sums[row] = fma(vec4<f32>(x.w), b.k3, sum);
}

fn add_rows(first: u32, x: Rows, b: Bytes) {
    add_row(first, x.r0, b);
    add_row(first + 1u, x.r1, b);
    add_row(first + 2u, x.r2, b);
    add_row(first + 3u, x.r3, b);
    add_row(first + 4u, x.r4, b);
    add_row(first + 5u, x.r5, b);
    add_row(first + 6u, x.r6, b);
    add_row(first + 7u, x.r7, b);
}

// Eight rows from `first` of the tile on, and a quad of each of the columns.
fn add_quads(first: u32, x: RowQuads, b0: Bytes, b1: Bytes, b2: Bytes, b3: Bytes) {
    add_rows(first, row_bytes(x, 0u), b0);
    add_rows(first, row_bytes(x, 1u), b1);
    add_rows(first, row_bytes(x, 2u), b2);
    add_rows(first, row_bytes(x, 3u), b3);
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = product_place(linear_workgroup(workgroup, grid));
    if (place.batch >= params.batches) {
        return;
    }
    let row = place.down * ROWS;
    let column = place.across * 32u + lane * 4u;
    let at0 = right_row(place.batch, column);
    let at1 = right_row(place.batch, column + 1u);
    let at2 = right_row(place.batch, column + 2u);
    let at3 = right_row(place.batch, column + 3u);
    for (var first = 0u; first < params.quads; first += EXACT) {
        for (var quad = first; quad < min(first + EXACT, params.quads); quad++) {
            let c0 = b[at0 + quad];
            let c1 = b[at1 + quad];
            let c2 = b[at2 + quad];
            let c3 = b[at3 + quad];
            let b0 = columns_of(c0.x, c1.x, c2.x, c3.x);
            let b1 = columns_of(c0.y, c1.y, c2.y, c3.y);
            let b2 = columns_of(c0.z, c1.z, c2.z, c3.z);
            let b3 = columns_of(c0.w, c1.w, c2.w, c3.w);
            if (ROWS == 1u) {
                let x = a[left_row(place.batch, row) + quad];
                add_row(0u, floats(x.x), b0);
                add_row(0u, floats(x.y), b1);
                add_row(0u, floats(x.z), b2);
                add_row(0u, floats(x.w), b3);
            } else {
                add_quads(0u, row_quads(place.batch, row, quad, lane), b0, b1, b2, b3);
            }
            if (ROWS >= 16u) {
                add_quads(8u, row_quads(place.batch, row + 8u, quad, lane), b0, b1, b2, b3);
            }
            if (ROWS >= 32u) {
                add_quads(16u, row_quads(place.batch, row + 16u, quad, lane), b0, b1, b2, b3);
                add_quads(24u, row_quads(place.batch, row + 24u, quad, lane), b0, b1, b2, b3);
            }
        }
        for (var r = 0u; r < ROWS; r++) {
            totals[r] += vec4<i32>(sums[r]);
            sums[r] = vec4<f32>();
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        store_sums(place.batch, row + r, column, totals[r]);
    }
}
