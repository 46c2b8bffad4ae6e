//! Measurements of a device, of kernels and of models.

/// Token ids of a text without meaning: the same for every model with such a vocabulary.
pub fn tokens(n: usize, vocabulary: usize) -> Vec<u32> {
    // Multiples of a prime far above any word's length, so that neighbours have nothing to do with each other.
    (1..=n).map(|i| (i * 7919 % vocabulary.max(1)) as u32).collect()
}
