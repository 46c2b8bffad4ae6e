// A paged cache of f32, two neighbouring quads as the columns of a matrix.

alias CachePair = mat2x4<f32>;

fn cache_pair(pair: CachePair) -> mat2x4<f32> {
    return pair;
}
