// out[i, j] = tail(sum_k a[i, k] * b[j, k]) of bytes in every batch, for devices that run few lanes and pay for barriers.
//
//   a, b, out  batches of matrices: see bytes/operands.wgsl
//
// One workgroup: ROWS (1 or 8) rows x 32 columns, four columns a lane; no workgroup memory. Such devices multiply floats
// faster than bytes. Products are at most 2^14, so floats hold sums of 1024 of them exactly; then these are added up in i32.

// Quads of bytes after which sums go over into integers.
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

// A quad of each of eight rows.
struct Rows {
    r0: vec4<u32>,
    r1: vec4<u32>,
    r2: vec4<u32>,
    r3: vec4<u32>,
    r4: vec4<u32>,
    r5: vec4<u32>,
    r6: vec4<u32>,
    r7: vec4<u32>,
}

fn floats(word: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(word));
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

fn add_word(row: u32, word: u32, b: Bytes) {
    let x = floats(word);
    var sum = fma(vec4<f32>(x.x), b.k0, sums[row]);
    sum = fma(vec4<f32>(x.y), b.k1, sum);
    sum = fma(vec4<f32>(x.z), b.k2, sum);
    sums[row] = fma(vec4<f32>(x.w), b.k3, sum);
}

// Adds the products of word `i` of every row's quad with the bytes of the columns.
fn add_words(x: Rows, i: u32, b: Bytes) {
    add_word(0u, x.r0[i], b);
    if (ROWS == 1u) {
        return;
    }
    add_word(1u, x.r1[i], b);
    add_word(2u, x.r2[i], b);
    add_word(3u, x.r3[i], b);
    add_word(4u, x.r4[i], b);
    add_word(5u, x.r5[i], b);
    add_word(6u, x.r6[i], b);
    add_word(7u, x.r7[i], b);
}

fn rows_at(batch: u32, row: u32, quad: u32) -> Rows {
    var rows: Rows;
    rows.r0 = a[left_row(batch, row) + quad];
    if (ROWS > 1u) {
        rows.r1 = a[left_row(batch, row + 1u) + quad];
        rows.r2 = a[left_row(batch, row + 2u) + quad];
        rows.r3 = a[left_row(batch, row + 3u) + quad];
        rows.r4 = a[left_row(batch, row + 4u) + quad];
        rows.r5 = a[left_row(batch, row + 5u) + quad];
        rows.r6 = a[left_row(batch, row + 6u) + quad];
        rows.r7 = a[left_row(batch, row + 7u) + quad];
    }
    return rows;
}

fn move_sum(row: u32) {
    totals[row] += vec4<i32>(sums[row]);
    sums[row] = vec4<f32>();
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
    let b0 = right_row(place.batch, column);
    let b1 = right_row(place.batch, column + 1u);
    let b2 = right_row(place.batch, column + 2u);
    let b3 = right_row(place.batch, column + 3u);
    for (var first = 0u; first < params.quads; first += EXACT) {
        for (var quad = first; quad < min(first + EXACT, params.quads); quad++) {
            let c0 = b[b0 + quad];
            let c1 = b[b1 + quad];
            let c2 = b[b2 + quad];
            let c3 = b[b3 + quad];
            let x = rows_at(place.batch, row, quad);
            add_words(x, 0u, columns_of(c0.x, c1.x, c2.x, c3.x));
            add_words(x, 1u, columns_of(c0.y, c1.y, c2.y, c3.y));
            add_words(x, 2u, columns_of(c0.z, c1.z, c2.z, c3.z));
            add_words(x, 3u, columns_of(c0.w, c1.w, c2.w, c3.w));
        }
        for (var r = 0u; r < ROWS; r++) {
            move_sum(r);
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        store_sums(place.batch, row + r, column, totals[r]);
    }
}
