// A paged cache of f16, two words a quad.

alias CacheQuad = vec2<u32>;

fn cache_unpack(quad: CacheQuad) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(quad.x), unpack2x16float(quad.y));
}

fn cache_pack(value: vec4<f32>) -> CacheQuad {
    return vec2<u32>(pack2x16float(value.xy), pack2x16float(value.zw));
}
