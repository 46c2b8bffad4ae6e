// A paged cache of f32, two neighbouring quads as the columns of a matrix, as the operands at bindings 1 and 2.

alias CachePair = mat2x4<f32>;

fn cache_pair(pair: CachePair) -> mat2x4<f32> {
    return pair;
}
