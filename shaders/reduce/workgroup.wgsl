// Reductions over a workgroup of LANES (a power of two) through workgroup memory: on every device, and always in the
// same order. Every invocation must call, and gets the result.

var<workgroup> reduce_values: array<f32, LANES>;

fn reduce_add(lane: u32, value: f32) -> f32 {
    reduce_values[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half >>= 1u) {
        if (lane < half) {
            reduce_values[lane] += reduce_values[lane + half];
        }
        workgroupBarrier();
    }
    let result = reduce_values[0];
    workgroupBarrier();
    return result;
}

fn reduce_max(lane: u32, value: f32) -> f32 {
    reduce_values[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half >>= 1u) {
        if (lane < half) {
            reduce_values[lane] = max(reduce_values[lane], reduce_values[lane + half]);
        }
        workgroupBarrier();
    }
    let result = reduce_values[0];
    workgroupBarrier();
    return result;
}
