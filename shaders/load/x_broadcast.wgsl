// Activations of a product whose K is a whole number of groups, for workgroups of 8 lanes in one subgroup: each lane
// loads one quad and hands it to the others, which on a CPU device is cheaper than the same load in every lane. Lanes are
// numbered in a subgroup as in their workgroup, which holds where a workgroup is one subgroup's worth in one dimension.
//
//   x  [T, params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

// The activations beside group `group` of the weights, for one token. All lanes must call with the same token and group.
fn x_group(token: u32, group: u32, lane: u32) -> Quads {
    let own = x[token * (params.columns / 4u) + group * 8u + lane];
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
    return 1.0;
}
