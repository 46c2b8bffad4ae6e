// Which inputs of a window are inside of the image, found out once for all channels: windows of up to 17 taps.

// Bit t: that of tap t of a channel, or of t - TAPS of the next, and so on.
alias Inside = u32;

fn window_inside(place: vec3<u32>) -> Inside {
    var bits = 0u;
    for (var tap = 0u; tap < TAPS; tap++) {
        bits |= select(0u, 1u << tap, inside(place + params.taps[tap].xyz));
    }
    for (var n = TAPS; n < 32u; n *= 2u) {
        bits |= bits << n;
    }
    return bits;
}

// Bit i (0..16): that of tap `tap + i`.
fn step_inside(kept: Inside, place: vec3<u32>, tap: u32) -> u32 {
    return kept >> tap;
}
