// What `roof_read` loads at once: a quad.

alias Loaded = vec4<f32>;

fn added(sum: vec4<f32>, loaded: Loaded) -> vec4<f32> {
    return sum + loaded;
}
