// A paged cache of f32, of which four words of 64 bits are two quads.

const RUN: u32 = 2u;

fn run_quads(run: vec4<u64>) -> array<vec4<f32>, RUN> {
    let words = words_of(run);
    return array<vec4<f32>, RUN>(bitcast<vec4<f32>>(words.low), bitcast<vec4<f32>>(words.high));
}
