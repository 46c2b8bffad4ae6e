// Scalar functions of `kernel::expr::Function`.

fn silu(x: f32) -> f32 {
    return x / (1.0 + exp(-x));
}

// x * (1 + tanh(u)) / 2 with tanh(u) = 1 - 2 / (e^2u + 1): where e^2u overflows, the quotient is 0 and not NaN.
fn gelu_tanh(x: f32) -> f32 {
    let u = 0.7978846 * (x + 0.044715 * x * x * x);
    return x * (1.0 - 1.0 / (exp(2.0 * u) + 1.0));
}
