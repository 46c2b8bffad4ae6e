use std::collections::HashMap;

use super::random::Pcg32;
use super::{Sampler, Sampling, filters};

/// Logits whose softmax is `probabilities`.
fn row(probabilities: &[f32]) -> Vec<(u32, f32)> {
    probabilities.iter().enumerate().map(|(i, p)| (i as u32, p.ln())).collect()
}

fn ids(candidates: &[(u32, f32)]) -> Vec<u32> {
    candidates.iter().map(|c| c.0).collect()
}

/// No filter and no penalty, temperature 1.
fn plain() -> Sampling {
    Sampling { temperature: 1.0, ..Sampling::greedy() }
}

#[test]
fn top_k_keeps_the_best_in_order_and_breaks_ties_by_lower_id() {
    let mut candidates = vec![(7, 1.0), (3, 2.0), (5, 1.0), (1, 0.5), (2, 1.0)];
    filters::top_k(&mut candidates, 3);
    assert_eq!(candidates, [(3, 2.0), (2, 1.0), (5, 1.0)]);
    let mut zeros = vec![(2, 0.0), (9, -0.0), (1, -0.0)];
    filters::top_k(&mut zeros, 0);
    assert_eq!(ids(&zeros), [1, 2, 9]);
}

#[test]
fn top_p_keeps_the_fewest_that_reach_the_mass() {
    // Sums of 0.5, 0.3, 0.15, 0.05: 0.5, 0.8, 0.95, 1.
    for (p, kept) in [(0.01, 1), (0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.96, 4), (1.0, 4)] {
        let mut candidates = row(&[0.5, 0.3, 0.15, 0.05]);
        filters::top_p(&mut candidates, p);
        assert_eq!(candidates.len(), kept, "top_p {p}");
    }
}

#[test]
fn min_p_is_relative_to_the_best() {
    // Ratios to the best: 1, 0.6, 0.3, 0.1.
    for (p, kept) in [(0.0, 4), (0.09, 4), (0.11, 3), (0.31, 2), (0.61, 1), (1.0, 1)] {
        let mut candidates = row(&[0.5, 0.3, 0.15, 0.05]);
        filters::min_p(&mut candidates, p);
        assert_eq!(candidates.len(), kept, "min_p {p}");
    }
}

#[test]
fn typical_may_drop_the_best() {
    // Surprises of 0.4, 0.2, 0.2, 0.1, 0.1: 0.916, 1.609, 1.609, 2.303, 2.303; entropy 1.471. Distances: 0.555, 0.139,
    // 0.139, 0.832, 0.832. The two of probability 0.2 come first, then the best.
    for (p, kept) in
        [(0.1, vec![1]), (0.3, vec![1, 2]), (0.5, vec![0, 1, 2]), (0.85, vec![0, 1, 2, 3]), (1.0, vec![0, 1, 2, 3, 4])]
    {
        let mut candidates = row(&[0.4, 0.2, 0.2, 0.1, 0.1]);
        filters::typical(&mut candidates, p);
        assert_eq!(ids(&candidates), kept, "typical_p {p}");
    }
}

#[test]
fn penalties_by_hand() {
    let counts = HashMap::from([(0, 2), (1, 1)]);
    let mut candidates = vec![(0, 3.0), (1, -1.0), (2, 3.0)];
    filters::penalize(&mut candidates, &counts, 1.5, 0.25, 0.5);
    // 3 / 1.5 - 2 * 0.25 - 0.5; -1 * 1.5 - 0.25 - 0.5; untouched.
    assert_eq!(candidates, [(0, 1.0), (1, -2.25), (2, 3.0)]);
}

#[test]
fn penalties_look_at_the_window_only() {
    let sampling = Sampling { presence_penalty: 2.0, penalty_window: 2, ..Sampling::greedy() };
    let mut sampler = Sampler::new(sampling).unwrap();
    let mut choices = Vec::new();
    for _ in 0..5 {
        let id = sampler.sample(&mut vec![(0, 3.0), (1, 2.5), (2, 2.0)]).unwrap();
        sampler.accept(id);
        choices.push(id);
    }
    // A token leaves the window of two just when both others are in it.
    assert_eq!(choices, [0, 1, 2, 0, 1]);
}

#[test]
fn draws_follow_the_probabilities() {
    let probabilities = [0.5, 0.3, 0.15, 0.05];
    let mut sampler = Sampler::new(Sampling { seed: 7, ..plain() }).unwrap();
    let mut seen = [0u32; 4];
    for _ in 0..20_000 {
        seen[sampler.sample(&mut row(&probabilities)).unwrap() as usize] += 1;
    }
    // Chi-squared with 3 degrees of freedom passes 16.3 once in a thousand seeds.
    let chi: f32 = seen.iter().zip(probabilities).map(|(&n, p)| (n as f32 - 20_000.0 * p).powi(2) / (20_000.0 * p)).sum();
    assert!(chi < 16.3, "chi-squared {chi}, counts {seen:?}");
}

#[test]
fn temperature_sharpens_and_flattens() {
    // Probabilities p^(1/T), normalised: 0.64 : 0.04 : 0.04 at T = 1/2, and 0.8^0.5 : 0.2^0.5 : ... at T = 2.
    let sorted = row(&[0.8, 0.2]);
    let cold = filters::softmax(&sorted, 0.5);
    let hot = filters::softmax(&sorted, 2.0);
    assert!((cold[0] - 0.64 / 0.68).abs() < 1e-6 && (hot[0] - 2.0 / 3.0).abs() < 1e-6, "{cold:?} {hot:?}");
    let mut icy = Sampler::new(Sampling { temperature: 1e-38, ..plain() }).unwrap();
    assert_eq!(icy.sample(&mut vec![(4, -2.0), (8, 5.0), (6, 5.0 - 1e-6)]).unwrap(), 8);
}

#[test]
fn a_seed_fixes_the_choices() {
    let draw = |seed| {
        let mut sampler = Sampler::new(Sampling { seed, ..plain() }).unwrap();
        (0..16).map(|_| sampler.sample(&mut row(&[0.25; 4])).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
}

#[test]
fn truncated_candidates_choose_as_the_full_row_does() {
    let vocab = 300;
    let mut random = Pcg32::new(11, 5);
    let penalized = Sampling { repetition_penalty: 1.3, frequency_penalty: 0.5, presence_penalty: 0.4, ..Sampling::default() };
    let settings = [
        (Sampling::greedy(), 1),
        (Sampling { penalty_window: 20, temperature: 0.0, ..penalized.clone() }, 32), // 1 + 20
        (Sampling { top_k: 5, ..Sampling::default() }, 8),
        (Sampling { top_k: 5, penalty_window: 30, typical_p: 0.9, temperature: 1.5, ..penalized.clone() }, 64), // 5 + 30
        (Sampling { top_k: 290, ..Sampling::default() }, 300),
        (Sampling { top_k: 0, ..Sampling::default() }, 300),
        (Sampling { presence_penalty: -1.0, ..Sampling::default() }, 300),
    ];
    for (sampling, count) in settings {
        let mut full = Sampler::new(sampling.clone()).unwrap();
        let mut part = full.clone();
        assert_eq!(full.candidates(vocab), count, "{sampling:?}");
        for step in 0..200 {
            // Coarse logits, so that ties are common.
            let mut row: Vec<(u32, f32)> =
                (0..vocab as u32).map(|id| (id, (random.uniform() * 24.0).floor() as f32 / 4.0)).collect();
            let mut best = row.clone();
            filters::top_k(&mut best, count);
            let id = full.sample(&mut row).unwrap();
            assert_eq!(part.sample(&mut best).unwrap(), id, "step {step} of {sampling:?}");
            full.accept(id);
            part.accept(id);
        }
    }
}

#[test]
fn candidates_never_pass_the_vocabulary() {
    let sampler = Sampler::new(Sampling { top_k: usize::MAX, ..Sampling::default() }).unwrap();
    assert_eq!(sampler.candidates(100), 100);
    assert_eq!(Sampler::new(Sampling::greedy()).unwrap().candidates(100), 1);
}

#[test]
fn bad_rows_are_errors_that_name_the_token() {
    let mut sampler = Sampler::new(Sampling::default()).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let error = sampler.sample(&mut vec![(3, 0.0), (17, bad)]).unwrap_err().to_string();
        assert!(error.contains("token 17") && error.contains(&bad.to_string()), "{error}");
    }
    assert!(sampler.sample(&mut Vec::new()).is_err());
    assert!(sampler.sample(&mut vec![(0, f32::NEG_INFINITY)]).is_err());
    assert_eq!(sampler.sample(&mut vec![(0, f32::NEG_INFINITY), (5, -1e30)]).unwrap(), 5);
}

#[test]
fn validation_names_field_and_range() {
    let s = Sampling::default;
    let bad = [
        (Sampling { temperature: -0.1, ..s() }, "temperature is -0.1, but must be 0 or more"),
        (Sampling { temperature: f32::NAN, ..s() }, "temperature is NaN"),
        (Sampling { temperature: f32::INFINITY, ..s() }, "temperature is inf"),
        (Sampling { top_p: 0.0, ..s() }, "top_p is 0, but must be above 0 and at most 1"),
        (Sampling { min_p: 1.5, ..s() }, "min_p is 1.5, but must be from 0 to 1"),
        (Sampling { typical_p: 1.1, ..s() }, "typical_p"),
        (Sampling { repetition_penalty: 0.0, ..s() }, "repetition_penalty"),
        (Sampling { frequency_penalty: f32::NAN, ..s() }, "frequency_penalty"),
        (Sampling { presence_penalty: -3.0, ..s() }, "presence_penalty is -3, but must be from -2 to 2"),
    ];
    for (sampling, message) in bad {
        let error = Sampler::new(sampling).unwrap_err().to_string();
        assert!(error.contains(message), "{error} lacks {message}");
    }
    assert!(s().validate().is_ok() && Sampling::greedy().validate().is_ok());
}

#[test]
fn settings_deserialise_with_defaults() {
    let sampling: Sampling = serde_json::from_str(r#"{"temperature": 0.2, "seed": 9}"#).unwrap();
    assert_eq!(sampling, Sampling { temperature: 0.2, seed: 9, ..Sampling::default() });
    assert!(serde_json::from_str::<Sampling>(r#"{"temprature": 0.2}"#).is_err());
}
