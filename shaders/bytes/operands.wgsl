// What the products of matrices of bytes have in common: their numbers, where matrices begin, where sums go.
//
//   a    [.., m, quads] of 16 bytes, zeros behind the last that counts
//   b    [.., n, quads] of 16 bytes, likewise
//   out  batches of [m, n] Value
//
// `tail` makes what is stored of an exact sum in i32.

struct Params {
    m: u32,
    n: u32,
    quads: u32,
    // Quads from one matrix to the next; 0 where all batches share one.
    a_step: u32,
    b_step: u32,
    // Tiles beside and below each other in one matrix of the output.
    across: u32,
    down: u32,
    batches: u32,
    // Rows of all matrices of `a`.
    rows: u32,
    pad_0: u32,
    pad_1: u32,
    pad_2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> a: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> out: array<Value>;

// A workgroup's tile: which one below and beside in which batch.
struct Place {
    batch: u32,
    down: u32,
    across: u32,
}

fn product_place(index: u32) -> Place {
    let per_matrix = params.across * params.down;
    let batch = index / per_matrix;
    let tile = index - batch * per_matrix;
    let across = tile / params.down;
    return Place(batch, tile - across * params.down, across);
}

// The first quad of a row of `a`; rows beyond the last repeat it.
fn left_row(batch: u32, row: u32) -> u32 {
    return batch * params.a_step + min(row, params.m - 1u) * params.quads;
}

// The first quad of a column of the product; columns beyond the last repeat it.
fn right_row(batch: u32, column: u32) -> u32 {
    return batch * params.b_step + min(column, params.n - 1u) * params.quads;
}

// The row of all matrices of `a` with which an element of the output goes.
fn output_row(index: u32) -> u32 {
    return index / params.n % params.rows;
}

// Stores the sum of row `row` and column `column`, where there is such.
fn store_sum(batch: u32, row: u32, column: u32, sum: i32) {
    if (row < params.m && column < params.n) {
        let index = (batch * params.m + row) * params.n + column;
        out[index] = tail(sum, index, column);
    }
}

fn store_sums(batch: u32, row: u32, column: u32, sums: vec4<i32>) {
    store_sum(batch, row, column, sums.x);
    store_sum(batch, row, column + 1u, sums.y);
    store_sum(batch, row, column + 2u, sums.z);
    store_sum(batch, row, column + 3u, sums.w);
}
