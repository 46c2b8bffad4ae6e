//! Floating-point formats of at most eight bits: sign, exponent and mantissa from the highest bit to the lowest.
//!
//! The formats without an infinity are those of "FP8 Formats for Deep Learning" (arXiv 2209.05433), "8-bit Numerical Formats
//! for Deep Neural Networks" (arXiv 2206.02915, the `fnuz` ones) and the OCP Microscaling specification 1.0 (4 and 6 bits,
//! and the scale type E8M0).

/// What the highest codes, or the code of minus zero, stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Specials {
    /// As IEEE 754: the highest exponent is infinity, and NaN where the mantissa is not zero.
    Ieee,
    /// No infinity; all bits but the sign set is NaN (`fn`).
    TopNan,
    /// No infinity and no minus zero, whose code is NaN (`fnuz`).
    ZeroNan,
    /// Numbers only.
    None,
}

/// A format with a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MiniFloat {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    specials: Specials,
}

pub(super) const E4M3FN: MiniFloat = MiniFloat::new(4, 3, 7, Specials::TopNan);
pub(super) const E4M3FNUZ: MiniFloat = MiniFloat::new(4, 3, 8, Specials::ZeroNan);
pub(super) const E5M2: MiniFloat = MiniFloat::new(5, 2, 15, Specials::Ieee);
pub(super) const E5M2FNUZ: MiniFloat = MiniFloat::new(5, 2, 16, Specials::ZeroNan);
pub(super) const E2M1: MiniFloat = MiniFloat::new(2, 1, 1, Specials::None);
pub(super) const E2M3: MiniFloat = MiniFloat::new(2, 3, 1, Specials::None);
pub(super) const E3M2: MiniFloat = MiniFloat::new(3, 2, 3, Specials::None);

impl MiniFloat {
    const fn new(exponent_bits: u32, mantissa_bits: u32, bias: i32, specials: Specials) -> Self {
        MiniFloat { exponent_bits, mantissa_bits, bias, specials }
    }

    /// The bits below the sign, all set.
    const fn magnitude_mask(self) -> u8 {
        ((1u16 << (self.exponent_bits + self.mantissa_bits)) - 1) as u8
    }

    const fn sign_bit(self) -> u8 {
        self.magnitude_mask() + 1
    }

    /// The magnitude of the largest finite number.
    const fn largest(self) -> u8 {
        match self.specials {
            Specials::Ieee => self.infinity() - 1,
            Specials::TopNan => self.magnitude_mask() - 1,
            Specials::ZeroNan | Specials::None => self.magnitude_mask(),
        }
    }

    /// The magnitude of infinity, in the IEEE formats.
    const fn infinity(self) -> u8 {
        self.magnitude_mask() - ((1 << self.mantissa_bits) - 1)
    }

    /// The value of a code. Bits above the format's are ignored.
    pub(super) fn decode(self, code: u8) -> f32 {
        let (magnitude, negative) = (code & self.magnitude_mask(), code & self.sign_bit() != 0);
        let fraction = magnitude & ((1 << self.mantissa_bits) - 1);
        let exponent = i32::from(magnitude >> self.mantissa_bits);
        let value = match self.specials {
            Specials::ZeroNan if negative && magnitude == 0 => f32::NAN,
            Specials::TopNan if magnitude == self.magnitude_mask() => f32::NAN,
            Specials::Ieee if magnitude == self.infinity() => f32::INFINITY,
            Specials::Ieee if magnitude > self.infinity() => f32::NAN,
            _ => {
                // Subnormals have the exponent of the smallest normals and no hidden bit.
                let hidden = if exponent == 0 { 0 } else { 1u8 << self.mantissa_bits };
                let scale = exponent.max(1) - self.bias - self.mantissa_bits as i32;
                (f64::from(fraction + hidden) * power_of_two(scale)) as f32
            }
        };
        if negative { -value } else { value }
    }

    /// The code nearest to `x`, ties to even. What rounds to more than the largest number becomes that number if `saturate`,
    /// else infinity, or NaN where there is no infinity. The formats of numbers only always saturate, and take NaN for minus
    /// zero, as `ml_dtypes` does.
    pub(super) fn encode(self, x: f32, saturate: bool) -> u8 {
        let sign = if x.is_sign_negative() { self.sign_bit() } else { 0 };
        if x.is_nan() {
            return match self.specials {
                Specials::Ieee => sign | (self.infinity() + (1 << (self.mantissa_bits - 1))),
                Specials::TopNan => sign | self.magnitude_mask(),
                Specials::ZeroNan | Specials::None => self.sign_bit(),
            };
        }
        let magnitude = self.magnitude(x.abs());
        if magnitude <= u32::from(self.largest()) {
            return match self.specials {
                Specials::ZeroNan if magnitude == 0 => 0,
                _ => sign | magnitude as u8,
            };
        }
        match self.specials {
            Specials::None => sign | self.largest(),
            _ if saturate => sign | self.largest(),
            Specials::Ieee => sign | self.infinity(),
            Specials::TopNan => sign | self.magnitude_mask(),
            Specials::ZeroNan => self.sign_bit(),
        }
    }

    /// The code without sign of a number that is not negative, as if exponents had no end; a mantissa that rounds up to the
    /// next power of two carries into the exponent by itself.
    fn magnitude(self, x: f32) -> u32 {
        let smallest = 1 - self.bias;
        if x == f32::INFINITY {
            return u32::MAX;
        }
        // Every f32 is a normal f64, or zero, whose exponent field is far below `smallest`.
        let exponent = ((f64::from(x).to_bits() >> 52) as i32 - 1023).max(smallest);
        let unit = power_of_two(exponent - self.mantissa_bits as i32);
        let units = (f64::from(x) / unit).round_ties_even() as u32;
        (((exponent - smallest) as u32) << self.mantissa_bits) + units
    }
}

/// 2^exponent, for the exponents of normal f64.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// How a number between two powers of two becomes one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleRounding {
    /// To the nearer one, up from the middle.
    Nearest,
    /// To the larger one: the default of ONNX `Cast`.
    Up,
    /// To the smaller one.
    Down,
}

/// The code of NaN in E8M0.
const E8M0_NAN: u8 = 255;

/// The value of an E8M0 code: 2^(code - 127), or NaN.
pub(super) fn decode_e8m0(code: u8) -> f32 {
    match code {
        E8M0_NAN => f32::NAN,
        0 => f32::from_bits(1 << 22),
        _ => f32::from_bits(u32::from(code) << 23),
    }
}

/// The E8M0 code of `x`. Beyond 2^-127 and 2^127, zero and infinity included, it is the nearest of these if `saturate`, else
/// NaN. Numbers below zero are NaN: the standard leaves them open.
pub(super) fn encode_e8m0(x: f32, rounding: ScaleRounding, saturate: bool) -> u8 {
    if x.is_nan() || x < 0.0 {
        return E8M0_NAN;
    }
    let bits = f64::from(x.abs()).to_bits();
    let (exponent, fraction) = ((bits >> 52) as i32 - 1023, bits & ((1 << 52) - 1));
    let up = match rounding {
        ScaleRounding::Nearest => fraction >= 1 << 51,
        ScaleRounding::Up => fraction != 0,
        ScaleRounding::Down => false,
    };
    let code = exponent + 127 + i32::from(up);
    match code {
        0..=254 => code as u8,
        _ if !saturate => E8M0_NAN,
        _ if code < 0 => 0,
        _ => 254,
    }
}
