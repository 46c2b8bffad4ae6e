// Sums of a product of two batches of matrices of floats are scaled and go through the tail.

fn finish(sum: Element, index: u32, column: u32) -> Element {
    return tail(sum * params.scale, index, column);
}
