// Places that indices name.

// The place among n that `index` names: negative ones count from the end, those outside take the nearest place.
fn index_place(index: i32, n: u32) -> u32 {
    let place = select(index, index + i32(n), index < 0);
    return u32(clamp(place, 0, i32(n) - 1));
}

// The place that tuple number `tuple` of the kernel's `indices` names among those of its `params.dims`, in row-major order.
fn tuple_place(tuple: u32) -> u32 {
    var at = 0u;
    for (var k = 0u; k < TUPLE; k++) {
        let n = params.dims[k / 4u][k % 4u];
        at = at * n + index_place(indices[tuple * TUPLE + k], n);
    }
    return at;
}
