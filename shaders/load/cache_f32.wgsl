// A paged cache of f32, one vec4 a quad.

alias CacheQuad = vec4<f32>;

fn cache_unpack(quad: CacheQuad) -> vec4<f32> {
    return quad;
}

fn cache_pack(value: vec4<f32>) -> CacheQuad {
    return value;
}
