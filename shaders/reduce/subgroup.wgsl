// Reductions over a workgroup of LANES that is one subgroup: chosen only where every subgroup has at least LANES
// invocations. Every invocation must call, and gets the result.

fn reduce_add(lane: u32, value: f32) -> f32 {
    return subgroupAdd(value);
}

fn reduce_max(lane: u32, value: f32) -> f32 {
    return subgroupMax(value);
}
