// Where the maxima of pooling lie: stored.

@group(0) @binding(3) var<storage, read_write> indices: array<i32>;

fn store_index(i: u32, index: i32) {
    indices[i] = index;
}
