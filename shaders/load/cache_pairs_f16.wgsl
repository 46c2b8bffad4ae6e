// A paged cache of f16, four words for two neighbouring quads.

alias CachePair = vec4<u32>;

fn cache_pair(pair: CachePair) -> mat2x4<f32> {
    return mat2x4<f32>(
        vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y)),
        vec4<f32>(unpack2x16float(pair.z), unpack2x16float(pair.w)),
    );
}
