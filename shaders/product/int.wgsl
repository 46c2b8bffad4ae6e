// Elements of a product: integers.

alias Element = i32;
alias Quad = vec4<i32>;

fn multiply_add(a: Quad, b: Quad, sum: Quad) -> Quad {
    return sum + a * b;
}

fn finish(sum: Element, index: u32, column: u32) -> Element {
    return sum;
}
