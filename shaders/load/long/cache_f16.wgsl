// A paged cache of f16, of which four words of 64 bits are four quads.

const RUN: u32 = 4u;

fn run_quads(run: vec4<u64>) -> array<vec4<f32>, RUN> {
    let words = words_of(run);
    return array<vec4<f32>, RUN>(
        vec4<f32>(unpack2x16float(words.low.x), unpack2x16float(words.low.y)),
        vec4<f32>(unpack2x16float(words.low.z), unpack2x16float(words.low.w)),
        vec4<f32>(unpack2x16float(words.high.x), unpack2x16float(words.high.y)),
        vec4<f32>(unpack2x16float(words.high.z), unpack2x16float(words.high.w)),
    );
}
