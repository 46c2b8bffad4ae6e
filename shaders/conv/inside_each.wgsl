// Which inputs of a window are inside of the image, found out for each anew: windows of any number of taps.

alias Inside = u32;

fn window_inside(place: vec3<u32>) -> Inside {
    return 0u;
}

// Bit i (0..16): that of tap `tap + i`.
fn step_inside(kept: Inside, place: vec3<u32>, tap: u32) -> u32 {
    var bits = 0u;
    for (var i = 0u; i < 16u; i++) {
        bits |= select(0u, 1u << i, inside(place + params.taps[tap + i].xyz));
    }
    return bits;
}
