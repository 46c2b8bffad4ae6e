// What `roof_read` loads at once: two quads, as four words of 64 bits.

alias Loaded = vec4<u64>;

fn added(sum: vec4<f32>, loaded: Loaded) -> vec4<f32> {
    let floats = floats_of(loaded);
    return sum + (floats.low + floats.high);
}
