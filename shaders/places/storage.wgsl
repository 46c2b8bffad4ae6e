// The places of a selection in the outputs of `top_k.wgsl`, where they do not fit workgroup memory: each holds a key and an
// index.

fn place(i: u32) -> vec2<u32> {
    let at = out_start + i * params.stride;
    return vec2<u32>(values[at], indices[at]);
}

fn set_place(i: u32, pair: vec2<u32>) {
    let at = out_start + i * params.stride;
    values[at] = pair.x;
    indices[at] = pair.y;
}

// Lets every invocation see what the others have set.
fn places_barrier() {
    storageBarrier();
}
