// The PLACES of a selection in workgroup memory: each holds a key and an index.

var<workgroup> place_keys: array<u32, PLACES>;
var<workgroup> place_indices: array<u32, PLACES>;

fn place(i: u32) -> vec2<u32> {
    return vec2<u32>(place_keys[i], place_indices[i]);
}

fn set_place(i: u32, pair: vec2<u32>) {
    place_keys[i] = pair.x;
    place_indices[i] = pair.y;
}

// Lets every invocation see what the others have set.
fn places_barrier() {
    workgroupBarrier();
}
