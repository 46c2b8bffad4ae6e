// Places that indices name.

// The place among n that `index` names: negative ones count from the end, those outside take the nearest place.
fn index_place(index: i32, n: u32) -> u32 {
    let place = select(index, index + i32(n), index < 0);
    return u32(clamp(place, 0, i32(n) - 1));
}
