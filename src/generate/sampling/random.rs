//! The crate's own random numbers, so that a seed gives the same text on every platform.

/// PCG-XSH-RR 64/32: 64 bits of state, 32 bits of output per step.
///
/// Source: M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random
/// Number Generation", HMC-CS-2014-0905; its constants and its seeding.
#[derive(Clone, Debug)]
pub(super) struct Pcg32 {
    state: u64,
    increment: u64,
}

impl Pcg32 {
    const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

    /// The generator at `seed` on one of 2^63 independent streams.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self { state: 0, increment: stream << 1 | 1 };
        random.next_u32();
        random.state = random.state.wrapping_add(seed);
        random.next_u32();
        random
    }

    fn next_u32(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(Self::MULTIPLIER).wrapping_add(self.increment);
        let xorshifted = ((old >> 18 ^ old) >> 27) as u32;
        xorshifted.rotate_right((old >> 59) as u32)
    }

    /// The next number, uniform in `[0, 1)`, from 53 bits of two steps.
    pub(super) fn uniform(&mut self) -> f64 {
        let high = u64::from(self.next_u32() >> 5);
        let low = u64::from(self.next_u32() >> 6);
        (high << 26 | low) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Pcg32;

    #[test]
    fn follows_the_published_sequence() {
        // The first round of the demo that accompanies the reference implementation: seed 42, stream 54.
        let mut random = Pcg32::new(42, 54);
        let got: Vec<u32> = (0..6).map(|_| random.next_u32()).collect();
        assert_eq!(got, [0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e]);
    }

    #[test]
    fn uniform_stays_below_one_and_fills_the_range() {
        let mut random = Pcg32::new(1, 0);
        let draws: Vec<f64> = (0..10_000).map(|_| random.uniform()).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "mean {mean}"); // standard error 0.003
    }
}
