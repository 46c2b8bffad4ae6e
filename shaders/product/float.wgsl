// Elements of a product: f32.

alias Element = f32;
alias Quad = vec4<f32>;

fn multiply_add(a: Quad, b: Quad, sum: Quad) -> Quad {
    return fma(a, b, sum);
}
