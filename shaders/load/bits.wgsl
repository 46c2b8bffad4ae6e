// Bit helpers of the weight providers in this folder.
//
// The packed layout (`src/quant/mod.rs`) keeps in byte j of every word only weights whose index is j modulo 4. A quad
// (weights 4i..4i+4 of a group) is therefore one shift and one mask away from being four codes in four bytes, which is
// what the quad_* functions return. `i` is a literal at every call: indexing and selecting by it costs nothing.

// 4-bit codes: word w holds quads 2w (low nibbles) and 2w + 1 (high nibbles).
fn quad_u4(words: vec4<u32>, i: u32) -> u32 {
    return (words[i >> 1u] >> ((i & 1u) * 4u)) & 0x0f0f0f0fu;
}

// 2-bit codes: word w holds quads 4w..4w+4, quad 4w + c at bit 2c of each byte.
fn quad_u2(words: vec2<u32>, i: u32) -> u32 {
    return (words[i >> 2u] >> ((i & 3u) * 2u)) & 0x03030303u;
}

// 1-bit codes: quad i at bit i of each byte.
fn quad_u1(word: u32, i: u32) -> u32 {
    return (word >> i) & 0x01010101u;
}

// 2-bit codes as `quad_u2`, as bits 4 and 5 of each byte, above a 4-bit code.
fn quad_u2_above(words: vec2<u32>, i: u32) -> u32 {
    let word = words[i >> 2u];
    let at = (i & 3u) * 2u;
    return select(word << ((4u - at) & 7u), word >> ((at - 4u) & 7u), at > 4u) & 0x30303030u;
}

// 1-bit codes as `quad_u1`, as bit 4 of each byte, above a 4-bit code.
fn quad_u1_above(word: u32, i: u32) -> u32 {
    return select(word << ((4u - i) & 7u), word >> ((i - 4u) & 7u), i > 4u) & 0x10101010u;
}

// Four codes as numbers.
fn quad_to_f32(codes: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xU8(codes));
}

// The f16 number `index` modulo 2 of a word that holds two, low half first.
fn half_at(word: u32, index: u32) -> f32 {
    return unpack2x16float(half_word(word, index)).x;
}

// The 16-bit field number `index` modulo 2 of a word.
fn half_word(word: u32, index: u32) -> u32 {
    return extractBits(word, (index & 1u) * 16u, 16u);
}

// Element i modulo 4 of (a, b, c, d), without an array: arrays of function arguments live in memory on some compilers.
fn pick4(a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>, i: u32) -> vec4<u32> {
    let odd = (i & 1u) == 1u;
    return select(select(a, b, odd), select(c, d, odd), (i & 2u) == 2u);
}

// Words 2i and 2i + 1 of the 16 in (a, b, c, d).
fn pick_pair(a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>, i: u32) -> vec2<u32> {
    let words = pick4(a, b, c, d, i >> 1u);
    return select(words.xy, words.zw, (i & 1u) == 1u);
}
