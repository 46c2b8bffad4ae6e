// As load/x_quads, of one token whose row goes through an RMS norm: elements are multiplied with the gain where they are
// loaded, and sums in the end with the factor that their squares have led to by then.
//
//   x     [1, params.columns] f32
//   gain  [params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gain: array<vec4<f32>>;

var<private> squares: vec4<f32>;

fn normed(at: u32) -> vec4<f32> {
    let loaded = x[at];
    squares = fma(loaded, loaded, squares);
    return loaded * gain[at];
}

// The activations beside group `group` of the weights. The lanes over which sums are reduced call for every group once.
fn x_group(token: u32, group: u32, lane: u32) -> Quads {
    let at = group * 8u;
    return Quads(
        normed(at),
        normed(at + 1u),
        normed(at + 2u),
        normed(at + 3u),
        normed(at + 4u),
        normed(at + 5u),
        normed(at + 6u),
        normed(at + 7u),
    );
}

// What sums over all groups are multiplied with. Every lane must call.
fn x_scale(lane: u32) -> f32 {
    let all = reduce_add(lane, (squares.x + squares.y) + (squares.z + squares.w));
    return inverseSqrt(all / f32(params.columns) + params.epsilon);
}
