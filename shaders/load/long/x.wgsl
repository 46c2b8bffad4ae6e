// Activations of a product whose K is a multiple of 64, for workgroups of 8 lanes in one subgroup: each lane loads two quads and
// hands them to the others.
//
//   x  [1, params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<u64>>;

// The activations beside groups 2 pair and 2 pair + 1 of the weights. All lanes must call with the same pair.
fn x_pair(pair: u32, lane: u32) -> QuadsPair {
    let own = floats_of(x[pair * 8u + lane]);
    return handed_round(own.low, own.high);
}

// What sums over all groups are multiplied with.
fn x_scale(lane: u32) -> f32 {
    return 1.0;
}
