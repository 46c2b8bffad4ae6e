// As load/long/x, of a row that goes through an RMS norm: elements are multiplied with the gain where they are loaded, and sums
// in the end with the factor that their squares have led to by then.
//
//   x     [1, params.columns] f32
//   gain  [params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<u64>>;
@group(0) @binding(3) var<storage, read> gain: array<vec4<u64>>;

var<private> squares: vec4<f32>;

// The activations beside groups 2 pair and 2 pair + 1 of the weights. All lanes must call with the same pair, for every pair once.
fn x_pair(pair: u32, lane: u32) -> QuadsPair {
    let own = words_of(x[pair * 8u + lane]);
    let factors = words_of(gain[pair * 8u + lane]);
    let first = bitcast<vec4<f32>>(own.low);
    let second = bitcast<vec4<f32>>(own.high);
    squares = fma(first, first, fma(second, second, squares));
    return handed_round(first * bitcast<vec4<f32>>(factors.low), second * bitcast<vec4<f32>>(factors.high));
}

// What sums over all groups are multiplied with.
fn x_scale(lane: u32) -> f32 {
    let all = subgroupAdd((squares.x + squares.y) + (squares.z + squares.w));
    return inverseSqrt(all / f32(params.columns) + params.epsilon);
}
