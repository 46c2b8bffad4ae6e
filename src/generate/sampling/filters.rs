//! The filters of the sampling chain. Each shortens or changes a list of candidates that is sorted by descending logit.
//!
//! Logits stay f32 as the device gave them; probabilities and their sums are f64.

use std::cmp::Ordering;
use std::collections::HashMap;

/// A token and its logit.
pub(super) type Candidate = (u32, f32);

/// Higher logit first, among equals (0 and -0 too) the lower id: the order of the crate's `TopK` op. NaN was refused before.
pub(super) fn best_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal).then(a.0.cmp(&b.0))
}

/// Probabilities of sorted, non-empty `candidates` at `temperature`.
pub(super) fn softmax(candidates: &[Candidate], temperature: f32) -> Vec<f64> {
    let best = f64::from(candidates[0].1);
    let weights: Vec<f64> = candidates.iter().map(|c| ((f64::from(c.1) - best) / f64::from(temperature)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

/// Penalises every token by how often (`counts`) it occurred in the window.
///
/// Repetition as in Keskar et al. 2019 ("CTRL"), with the usual repair that a negative logit is multiplied; frequency and
/// presence as the OpenAI API defines them.
pub(super) fn penalize(candidates: &mut [Candidate], counts: &HashMap<u32, u32>, repetition: f32, frequency: f32, presence: f32) {
    for (id, logit) in candidates {
        let Some(&count) = counts.get(id) else { continue };
        *logit = if *logit > 0.0 { *logit / repetition } else { *logit * repetition };
        *logit -= count as f32 * frequency + presence;
    }
}

/// Keeps the `k` best, which it also sorts. The only filter that takes its candidates in any order.
pub(super) fn top_k(candidates: &mut Vec<Candidate>, k: usize) {
    if k > 0 && k < candidates.len() {
        candidates.select_nth_unstable_by(k - 1, best_first);
        candidates.truncate(k);
    }
    candidates.sort_unstable_by(best_first);
}

/// Locally typical sampling (Meister et al. 2022): keeps the tokens whose surprise is nearest to the entropy, until their
/// probabilities sum to more than `p`.
pub(super) fn typical(candidates: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let probabilities = softmax(candidates, 1.0);
    let surprise = |q: f64| if q > 0.0 { -q.ln() } else { f64::INFINITY };
    let entropy: f64 = probabilities.iter().filter(|&&q| q > 0.0).map(|&q| q * surprise(q)).sum();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    // A stable sort: among equally typical tokens the more probable stays first.
    let distance = |i: usize| (surprise(probabilities[i]) - entropy).abs();
    order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
    let mut sum = 0.0;
    let kept = 1 + order.iter().take_while(|&&i| running(&mut sum, probabilities[i]) <= f64::from(p)).count();
    order.truncate(kept);
    order.sort_unstable();
    *candidates = order.into_iter().map(|i| candidates[i]).collect();
}

/// Nucleus sampling (Holtzman et al. 2020): keeps the fewest best tokens whose probabilities sum to at least `p`.
pub(super) fn top_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let mut sum = 0.0;
    let kept = 1 + softmax(candidates, 1.0).into_iter().take_while(|&q| running(&mut sum, q) < f64::from(p)).count();
    candidates.truncate(kept);
}

/// Keeps the tokens that are at least `p` times as probable as the best one (Nguyen et al. 2024).
pub(super) fn min_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p > 0.0 {
        let floor = f64::from(candidates[0].1) + f64::from(p).ln();
        candidates.retain(|c| f64::from(c.1) >= floor);
    }
}

/// Adds `q` to `sum` and returns the sum.
fn running(sum: &mut f64, q: f64) -> f64 {
    *sum += q;
    *sum
}
