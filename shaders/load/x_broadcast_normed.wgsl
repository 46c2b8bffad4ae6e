// As load/x_broadcast, of one token whose row goes through an RMS norm: elements are multiplied with the gain where they are
// loaded, and sums in the end with the factor that their squares have led to by then.
//
//   x     [1, params.columns] f32
//   gain  [params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gain: array<vec4<f32>>;

var<private> squares: vec4<f32>;

// The activations beside group `group` of the weights. All lanes must call with the same group, for every group once.
fn x_group(token: u32, group: u32, lane: u32) -> Quads {
    let loaded = x[group * 8u + lane];
    squares = fma(loaded, loaded, squares);
    let own = loaded * gain[group * 8u + lane];
    return Quads(
        subgroupBroadcast(own, 0u),
        subgroupBroadcast(own, 1u),
        subgroupBroadcast(own, 2u),
        subgroupBroadcast(own, 3u),
        subgroupBroadcast(own, 4u),
        subgroupBroadcast(own, 5u),
        subgroupBroadcast(own, 6u),
        subgroupBroadcast(own, 7u),
    );
}

// What sums over all groups are multiplied with.
fn x_scale(lane: u32) -> f32 {
    let all = subgroupAdd((squares.x + squares.y) + (squares.z + squares.w));
    return inverseSqrt(all / f32(params.columns) + params.epsilon);
}
