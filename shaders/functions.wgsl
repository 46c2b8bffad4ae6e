// Scalar functions and operators of `kernel::function` and `kernel::operator`, where WGSL has none or grants drivers too much.

fn reciprocal(x: f32) -> f32 {
    return 1.0 / x;
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

fn silu(x: f32) -> f32 {
    return x / (1.0 + exp(-x));
}

// x (1 + tanh(u)) / 2 is x times the sigmoid of 2u: where e^-2u overflows, the quotient is 0 and not NaN.
fn gelu_tanh(x: f32) -> f32 {
    return x / (1.0 + exp(-1.5957691 * (x + 0.044715 * x * x * x)));
}

fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log(1.0 + exp(-abs(x)));
}

// Abramowitz and Stegun 7.1.26 to a higher degree would still cancel near 0: below 1 the Maclaurin series, above it
// 1 - t e^(-x^2) p(t) (Numerical Recipes' Chebyshev fit of erfc, good to 1.2e-7).
fn erf(x: f32) -> f32 {
    let a = abs(x);
    let s = a * a;
    let series = a * (1.1283792 + s * (-0.37612638 + s * (0.11283792 + s * (-0.026866171 + s * (0.0052239776
        + s * (-0.00085483270 + s * (0.00012055333 + s * (-0.000014925650 + s * 0.0000016462115))))))));
    let t = 1.0 / (1.0 + 0.5 * min(a, 20.0));
    let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807
        + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
    let tail_part = 1.0 - t * exp(-min(s, 400.0) + p);
    return sign(x) * select(tail_part, series, a < 1.0);
}

fn gelu(x: f32) -> f32 {
    return 0.5 * x * (1.0 + erf(x * 0.70710678));
}

// x less the nearest multiple of pi/2 (in three parts, after Cody and Waite), and the number of that multiple.
fn quarter_turns(x: f32) -> vec2<f32> {
    let turns = round(x * 0.63661977);
    let r = ((x - turns * 1.5703125) - turns * 0.00048375129) - turns * 7.5495e-8;
    return vec2<f32>(r, turns);
}

fn sine_of_quarter(r: f32) -> f32 {
    let s = r * r;
    return r + r * s * (-0.16666667 + s * (0.0083333310 + s * (-0.00019840874 + s * 0.0000027525562)));
}

fn cosine_of_quarter(r: f32) -> f32 {
    let s = r * r;
    return 1.0 + s * (-0.5 + s * (0.041666667 + s * (-0.0013888889 + s * (0.000024801587 - s * 2.7557319e-7))));
}

fn sine(x: f32) -> f32 {
    let q = quarter_turns(x);
    let n = i32(q.y) & 3;
    let value = select(sine_of_quarter(q.x), cosine_of_quarter(q.x), (n & 1) == 1);
    return select(value, -value, n >= 2);
}

fn cosine(x: f32) -> f32 {
    let q = quarter_turns(x);
    let n = i32(q.y) & 3;
    let value = select(cosine_of_quarter(q.x), sine_of_quarter(q.x), (n & 1) == 1);
    return select(value, -value, n == 1 || n == 2);
}

fn tangent(x: f32) -> f32 {
    return sine(x) / cosine(x);
}

fn tanh_of(x: f32) -> f32 {
    return 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
}

fn sinh_of(x: f32) -> f32 {
    return 0.5 * (exp(x) - exp(-x));
}

fn cosh_of(x: f32) -> f32 {
    return 0.5 * (exp(x) + exp(-x));
}

fn asinh_of(x: f32) -> f32 {
    let a = abs(x);
    return sign(x) * log(a + sqrt(a * a + 1.0));
}

fn acosh_of(x: f32) -> f32 {
    return log(x + sqrt((x - 1.0) * (x + 1.0)));
}

fn atanh_of(x: f32) -> f32 {
    return 0.5 * log((1.0 + x) / (1.0 - x));
}

// Drivers may assume that no float is infinite or NaN: bits tell.
fn is_nan(x: f32) -> i32 {
    return select(0, 1, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

fn is_inf(x: f32) -> i32 {
    return select(0, 1, (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u);
}

// Through a variable, since a constant expression must not yield such a value.
fn not_finite(bits: u32) -> f32 {
    var b = bits;
    return bitcast<f32>(b);
}

fn to_f16(x: f32) -> f32 {
    return unpack2x16float(pack2x16float(vec2<f32>(x, 0.0))).x;
}

fn to_bf16(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) & 0xffff0000u;
    return bitcast<f32>(select(rounded, bits, (bits & 0x7fffffffu) >= 0x7f800000u));
}

fn not_of(n: i32) -> i32 {
    return select(0, 1, n == 0);
}

fn min_float(a: f32, b: f32) -> f32 {
    return select(min(a, b), a + b, (is_nan(a) | is_nan(b)) != 0);
}

fn max_float(a: f32, b: f32) -> f32 {
    return select(max(a, b), a + b, (is_nan(a) | is_nan(b)) != 0);
}

// What is left of a beside an infinite b is a.
fn rem_float(a: f32, b: f32) -> f32 {
    return select(a - b * trunc(a / b), a, is_inf(b) != 0 && (is_inf(a) | is_nan(a)) == 0);
}

// The quotient rounded to nearest; `a / b` may be a few units off. With both mantissas as integers, what a guess leaves is known
// exactly modulo 2^32, and it is small. Quotients of two f32 never lie in the middle between two others.
fn quotient(a: f32, b: f32) -> f32 {
    let x = bitcast<u32>(a);
    let y = bitcast<u32>(b);
    let x_exponent = (x >> 23u) & 255u;
    let y_exponent = (y >> 23u) & 255u;
    let m = (x & 0x7fffffu) | 0x800000u;
    let n = (y & 0x7fffffu) | 0x800000u;
    let below_one = u32(m < n);
    let exponent = i32(x_exponent) - i32(y_exponent) + 127 - i32(below_one);
    let special = x_exponent == 0u || x_exponent == 255u || y_exponent == 0u || y_exponent == 255u;
    if (special || exponent < 1 || exponent > 253) {
        return a / b;
    }
    let shift = 23u + below_one;
    let guess = u32(f32(m) / f32(n) * f32(1u << shift));
    let rest = i32((m << shift) - guess * n);
    let steps = (2 * rest + 33 * i32(n)) / (2 * i32(n)) - 16;
    let mantissa = u32(i32(guess) + steps) - 0x800000u;
    return bitcast<f32>(((x ^ y) & 0x80000000u) | ((u32(exponent) << 23u) + mantissa));
}

fn mod_float(a: f32, b: f32) -> f32 {
    let rest = rem_float(a, b);
    return select(rest, rest + b, rest != 0.0 && (rest < 0.0) != (b < 0.0));
}

// WGSL has a / 0 as a, but not every translation of it.
fn div_int(a: i32, b: i32) -> i32 {
    return a / select(b, 1, b == 0);
}

fn mod_int(a: i32, b: i32) -> i32 {
    let divisor = select(b, 1, b == 0);
    let rest = rem_int(a, b);
    return select(rest, rest + divisor, rest != 0 && (rest < 0) != (divisor < 0));
}

// GLSL leaves the remainder of negative numbers open, but not the quotient.
fn rem_int(a: i32, b: i32) -> i32 {
    let divisor = select(b, 1, b == 0);
    return a - a / divisor * divisor;
}

// A negative base has a real power where the exponent is an integer; its parity gives the sign.
fn pow_float(a: f32, b: f32) -> f32 {
    let whole = floor(b) == b;
    let odd = whole && abs(b - 2.0 * floor(b * 0.5)) == 1.0;
    let size = pow(abs(a), b);
    let signed = select(size, -size, odd && a < 0.0);
    let real = select(signed, not_finite(0x7fc00000u), a < 0.0 && !whole);
    return select(real, 1.0, b == 0.0 || a == 1.0);
}

fn pow_int(base: i32, exponent: i32) -> i32 {
    var result = 1;
    var square = base;
    var rest = max(exponent, 0);
    for (var i = 0; i < 31 && rest > 0; i++) {
        result = select(result, result * square, (rest & 1) == 1);
        square = square * square;
        rest = rest >> 1u;
    }
    let parity = select(1, base, (exponent & 1) != 0);
    let below = select(0, parity, base == 1 || base == -1);
    return select(result, below, exponent < 0);
}

fn shift_left(a: i32, b: i32) -> i32 {
    return select(0, a << u32(b & 31), b >= 0 && b < 32);
}

fn shift_right(a: i32, b: i32) -> i32 {
    return a >> u32(select(31, b, b >= 0 && b < 32));
}
