// How the sums of a product of two batches of matrices are stored: see product/operands.

// Stores the sum of row `row` and column `column`, where there is such.
fn product_store(batch: u32, row: u32, column: u32, sum: Element) {
    if (row < params.m && column < params.n) {
        let index = (batch * params.m + row) * params.n + column;
        out[index] = finish(sum, index, column);
    }
}

fn product_store_quad(batch: u32, row: u32, column: u32, sums: Quad) {
    product_store(batch, row, column, sums.x);
    product_store(batch, row, column + 1u, sums.y);
    product_store(batch, row, column + 2u, sums.z);
    product_store(batch, row, column + 3u, sums.w);
}
