// How elements are put together, given as words: f32 where FLOAT is 1, else i32, which wrap around.
//
// KIND: 0 sum, 1 product, 2 greatest, 3 least, 4 sum of squares, 5 sum of magnitudes. The greatest and the least are found
// among the keys of `order.wgsl`; NAN_KEY is beyond all others.

fn fold_sum(a: u32, b: u32) -> u32 {
    if (FLOAT == 1u) {
        return bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b));
    }
    return a + b;
}

fn fold_product(a: u32, b: u32) -> u32 {
    if (FLOAT == 1u) {
        return bitcast<u32>(bitcast<f32>(a) * bitcast<f32>(b));
    }
    return a * b;
}

// The total of nothing: for the greatest, the key of minus infinity or of the least integer.
fn fold_start() -> u32 {
    if (KIND == 1u) {
        return select(1u, 0x3f800000u, FLOAT == 1u);
    }
    if (KIND == 2u) {
        return select(0u, 0x007fffffu, FLOAT == 1u);
    }
    if (KIND == 3u) {
        return select(0xffffffffu, 0xff800000u, FLOAT == 1u);
    }
    return 0u;
}

// What an element adds to a total.
fn fold_term(word: u32) -> u32 {
    if (KIND == 2u || KIND == 3u) {
        return element_key(word);
    }
    if (KIND == 4u) {
        return fold_product(word, word);
    }
    if (KIND == 5u) {
        return select(u32(abs(bitcast<i32>(word))), word & 0x7fffffffu, FLOAT == 1u);
    }
    return word;
}

// The total of two totals.
fn fold_join(a: u32, b: u32) -> u32 {
    if (KIND == 1u) {
        return fold_product(a, b);
    }
    if (KIND == 2u) {
        return max(a, b);
    }
    if (KIND == 3u) {
        return min(a, b);
    }
    return fold_sum(a, b);
}

// The element that a total is.
fn fold_element(total: u32) -> u32 {
    if (KIND == 2u || KIND == 3u) {
        return element_of_key(total);
    }
    return total;
}
