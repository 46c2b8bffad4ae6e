// Weights of type IQ4_NL: 0.5625 bytes a weight.
//
//   weight_quants  vec4<u32> a group: 4-bit codes q
//   weight_scales  half a word a group: f16 d
//
//   weight = d * codebook[q]

@group(1) @binding(0) var<storage, read> weight_quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>;

struct WeightGroup {
    quants: vec4<u32>,
    d: f32,
}

alias PairScales = u32;

fn pair_scales(pair: u32) -> PairScales {
    return weight_scales[pair];
}

fn pair_group(scales: PairScales, index: u32, i: u32) -> WeightGroup {
    return WeightGroup(weight_quants[index], half_at(scales, i));
}

fn weight_group(index: u32) -> WeightGroup {
    return pair_group(pair_scales(index >> 1u), index, index & 1u);
}

// The codebook's signed bytes, four codes a word: -127 -104 -83 -65, -49 -35 -22 -10, 1 13 25 38, 53 69 89 113. Chosen by
// select and shift: an array that is indexed by data lives in memory on most compilers.
fn codebook(q: vec4<u32>) -> vec4<i32> {
    let upper = (q & vec4<u32>(4u)) != vec4<u32>();
    let below = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), upper);
    let above = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), upper);
    let words = select(below, above, (q & vec4<u32>(8u)) != vec4<u32>());
    let top = vec4<i32>(words << (24u - 8u * (q & vec4<u32>(3u))));
    return top >> vec4<u32>(24u);
}

fn code_bytes(w: WeightGroup, i: u32) -> u32 {
    return pack4xI8(codebook(unpack4xU8(quad_u4(w.quants, i))));
}

fn code_quad(w: WeightGroup, i: u32) -> vec4<f32> {
    return vec4<f32>(codebook(unpack4xU8(quad_u4(w.quants, i))));
}

fn code_scale(w: WeightGroup, half: u32) -> f32 {
    return w.d;
}

fn byte_sum(w: WeightGroup, half: u32, products: i32, bytes: i32) -> f32 {
    return w.d * f32(products);
}
