// Words of 64 bits, and activations beside two groups of weights.

// The words of 32 bits of four of 64, in their order.
struct Words {
    low: vec4<u32>,
    high: vec4<u32>,
}

fn words_of(long: vec4<u64>) -> Words {
    let first = vec4<u32>(long);
    let second = vec4<u32>(long >> vec4<u32>(32u));
    return Words(vec4<u32>(first.x, second.x, first.y, second.y), vec4<u32>(first.z, second.z, first.w, second.w));
}

// Eight floats.
struct Floats {
    low: vec4<f32>,
    high: vec4<f32>,
}

fn floats_of(long: vec4<u64>) -> Floats {
    let words = words_of(long);
    return Floats(bitcast<vec4<f32>>(words.low), bitcast<vec4<f32>>(words.high));
}

// Four words of 64 bits of eight of 32.
fn long_of(words: Words) -> vec4<u64> {
    let first = vec4<u32>(words.low.xz, words.high.xz);
    let second = vec4<u32>(words.low.yw, words.high.yw);
    return vec4<u64>(first) | (vec4<u64>(second) << vec4<u32>(32u));
}

struct QuadsPair {
    low: Quads,
    high: Quads,
}

// The 16 quads of two groups, of which each of 8 lanes in one subgroup has two.
fn handed_round(first: vec4<f32>, second: vec4<f32>) -> QuadsPair {
    let low = Quads(
        subgroupBroadcast(first, 0u),
        subgroupBroadcast(second, 0u),
        subgroupBroadcast(first, 1u),
        subgroupBroadcast(second, 1u),
        subgroupBroadcast(first, 2u),
        subgroupBroadcast(second, 2u),
        subgroupBroadcast(first, 3u),
        subgroupBroadcast(second, 3u),
    );
    let high = Quads(
        subgroupBroadcast(first, 4u),
        subgroupBroadcast(second, 4u),
        subgroupBroadcast(first, 5u),
        subgroupBroadcast(second, 5u),
        subgroupBroadcast(first, 6u),
        subgroupBroadcast(second, 6u),
        subgroupBroadcast(first, 7u),
        subgroupBroadcast(second, 7u),
    );
    return QuadsPair(low, high);
}

// 4-bit codes that lie in place are as many times too large, in even quads (low nibbles) and in odd ones; see quad_u4_even.
const EVEN: vec4<f32> = vec4<f32>(1.0, 0x1p-8f, 0x1p-16f, 0x1p-24f);
const ODD: vec4<f32> = vec4<f32>(0x1p-4f, 0x1p-12f, 0x1p-20f, 1.0);

// The even quad of a word (its low nibbles): the codes times 1, 2^8, 2^16 and 2^24. A mask for each instead of shifts.
fn quad_u4_even(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<u32>(word) & vec4<u32>(0xfu, 0xf00u, 0xf0000u, 0xf000000u));
}

// The odd quad of a word (its high nibbles): the codes times 2^4, 2^12, 2^20 and 1, so that none has the sign's bit.
fn quad_u4_odd(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<u32>(word & 0xf0u, word & 0xf000u, word & 0xf00000u, word >> 28u));
}

// The sum of products of the weights `d q + m` of a group.
fn scaled_offset_sum(words: vec4<u32>, d: f32, m: f32, x: Quads) -> f32 {
    let even = d * EVEN;
    let odd = d * ODD;
    var s = (even * quad_u4_even(words.x) + m) * x.q0;
    s = fma(odd * quad_u4_odd(words.x) + m, x.q1, s);
    s = fma(even * quad_u4_even(words.y) + m, x.q2, s);
    s = fma(odd * quad_u4_odd(words.y) + m, x.q3, s);
    s = fma(even * quad_u4_even(words.z) + m, x.q4, s);
    s = fma(odd * quad_u4_odd(words.z) + m, x.q5, s);
    s = fma(even * quad_u4_even(words.w) + m, x.q6, s);
    s = fma(odd * quad_u4_odd(words.w) + m, x.q7, s);
    return add_up(s);
}
