// An update of a scatter and the element that is there, as words of f32, or of i32 where INTEGERS is 1.
//
// REDUCTION: 0 the update replaces it, 1 the sum, 2 the product, 3 the larger, 4 the smaller.

fn combine_floats(a: f32, b: f32) -> f32 {
    if (REDUCTION == 1u) {
        return a + b;
    }
    if (REDUCTION == 2u) {
        return a * b;
    }
    if (REDUCTION == 3u) {
        return max_float(a, b);
    }
    return min_float(a, b);
}

fn combine_integers(a: i32, b: i32) -> i32 {
    if (REDUCTION == 1u) {
        return a + b;
    }
    if (REDUCTION == 2u) {
        return a * b;
    }
    if (REDUCTION == 3u) {
        return max(a, b);
    }
    return min(a, b);
}

fn combine(element: u32, update: u32) -> u32 {
    if (REDUCTION == 0u) {
        return update;
    }
    if (INTEGERS == 1u) {
        return bitcast<u32>(combine_integers(bitcast<i32>(element), bitcast<i32>(update)));
    }
    return bitcast<u32>(combine_floats(bitcast<f32>(element), bitcast<f32>(update)));
}
