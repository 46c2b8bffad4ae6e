// Elements of a product: f32. Sums are scaled and go through the tail.

alias Element = f32;
alias Quad = vec4<f32>;

fn multiply_add(a: Quad, b: Quad, sum: Quad) -> Quad {
    return fma(a, b, sum);
}

fn finish(sum: Element, index: u32, column: u32) -> Element {
    return tail(sum * params.scale, index, column);
}
