// Stores sums of which each makes an output.

fn store_row(token: u32, row: u32, sum: f32) {
    if (token < params.tokens && row < params.rows) {
        let column = params.first + row;
        let index = token * params.out_columns + column;
        out[index] = tail(sum, index, column);
    }
}

// The sums of a token with weight rows `row`, which is even, and `row + 1`, where there are such.
fn store_rows(token: u32, row: u32, first: f32, second: f32) {
    store_row(token, row, first);
    store_row(token, row + 1u, second);
}
