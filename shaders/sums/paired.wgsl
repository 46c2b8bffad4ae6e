// Stores sums of which two neighbours make an output. Chunks of the weight hold whole pairs.

// The sums of a token with weight rows `row`, which is even, and `row + 1`, where there are such.
fn store_rows(token: u32, row: u32, first: f32, second: f32) {
    if (token < params.tokens && row < params.rows) {
        let column = (params.first + row) / 2u;
        let index = token * params.out_columns + column;
        out[index] = tail(first, second, index, column);
    }
}
