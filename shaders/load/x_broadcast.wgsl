// Activations of a product whose K is a whole number of groups, for workgroups of 8 lanes in one subgroup: each lane
// loads one quad and hands it to the others, which on a CPU device is cheaper than the same load in every lane.
//
//   x  [T, params.columns] f32

@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

// The 32 activations beside one group of weights, as quads.
struct XGroup {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
    q4: vec4<f32>,
    q5: vec4<f32>,
    q6: vec4<f32>,
    q7: vec4<f32>,
}

// Group `group` of a token. All lanes must call with the same token and group.
fn x_group(token: u32, group: u32, lane: u32) -> XGroup {
    let own = x[token * (params.columns / 4u) + group * 8u + lane];
    return XGroup(
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
