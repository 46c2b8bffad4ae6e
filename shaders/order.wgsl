// Order of f32 numbers as order of u32 keys, the same on every driver: comparisons of floats may be compiled as if NaN
// did not exist.

// A greater number has a greater key; both zeros have one key; NaN has the key of minus infinity.
fn order_key(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return 0x007fffffu;
    }
    if (magnitude == 0u) {
        return 0x80000000u;
    }
    return select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
}

// The number of a key.
fn number_of_key(key: u32) -> f32 {
    return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

// The key of an element that is given as a word: of an f32 where FLOAT is 1, with NAN_KEY for NaN, else of an i32.
fn element_key(word: u32) -> u32 {
    if (FLOAT == 0u) {
        return word ^ 0x80000000u;
    }
    return select(order_key(bitcast<f32>(word)), NAN_KEY, (word & 0x7fffffffu) > 0x7f800000u);
}

// The element of a key, as a word.
fn element_of_key(key: u32) -> u32 {
    if (FLOAT == 0u) {
        return key ^ 0x80000000u;
    }
    return bitcast<u32>(number_of_key(key));
}

// The key of an element where the least come first unless LARGEST is 1: what comes first has the greatest key. It undoes itself.
fn turned_key(key: u32) -> u32 {
    return select(~key, key, LARGEST == 1u);
}
