// Elements of a product: f16. Their sums are good for few products: see product/totals_half.

alias Element = f16;
alias Quad = vec4<f16>;

fn multiply_add(a: Quad, b: Quad, sum: Quad) -> Quad {
    return fma(a, b, sum);
}
