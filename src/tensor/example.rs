//! Made-up data that looks random and is the same everywhere, for examples, measurements and tests.

use half::{bf16, f16};

use crate::dtype::DType;

/// Numbers that look random and are the same everywhere (splitmix64, Steele et al. 2014).
pub struct Numbers(u64);

impl Numbers {
    /// Those of one seed.
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.word() % n
    }

    /// A number of [-1, 1).
    pub fn unit(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// `n` numbers of [-1, 1).
    pub fn units(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit()).collect()
    }
}

/// File bytes of a weight of any element type: random codes, with block scales below `scale` and dense values below 1.
pub fn weight_bytes(dtype: DType, rows: usize, columns: usize, seed: u64, scale: f32) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let (block, size) = dtype.block();
    let blocks = rows * columns / block;
    let mut bytes: Vec<u8> = (0..blocks * size).map(|_| numbers.word() as u8).collect();
    // Where a block keeps its f16 numbers.
    let scales: &[usize] = match dtype {
        DType::Q4_0 | DType::Q5_0 | DType::Q8_0 | DType::IQ4_NL => &[0],
        DType::Q4_1 | DType::Q5_1 | DType::Q4_K | DType::Q5_K => &[0, 2],
        DType::Q2_K => &[80, 82],
        DType::Q3_K => &[108],
        DType::Q6_K => &[208],
        _ => &[],
    };
    for block in bytes.chunks_exact_mut(size) {
        for at in scales {
            let number = f16::from_f32(numbers.unit() * scale);
            block[*at..at + 2].copy_from_slice(&number.to_le_bytes());
        }
        match dtype {
            DType::F32 => block.copy_from_slice(&numbers.unit().to_le_bytes()),
            DType::F16 => block.copy_from_slice(&f16::from_f32(numbers.unit()).to_le_bytes()),
            DType::BF16 => block.copy_from_slice(&bf16::from_f32(numbers.unit()).to_le_bytes()),
            _ => {}
        }
    }
    bytes
}
