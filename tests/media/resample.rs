//! Resampling beside the sampled function itself.

use std::f64::consts::{PI, TAU};

use wavelane::Error;
use wavelane::media::Audio;

const SECONDS: f64 = 0.5;

/// Sines under a bell that is smooth at both ends, so that nothing outside is missing.
fn sound(time: f64, frequencies: &[f64]) -> f64 {
    if !(0.0..SECONDS).contains(&time) {
        return 0.0;
    }
    let bell = (PI * time / SECONDS).sin().powi(4);
    bell * frequencies.iter().map(|f| (TAU * f * time + f).sin()).sum::<f64>() / frequencies.len() as f64
}

fn sampled(rate: u32, frequencies: &[f64]) -> Audio {
    let frames = (SECONDS * f64::from(rate)) as usize;
    let sample = |i: usize| sound(i as f64 / f64::from(rate), frequencies) as f32;
    Audio::new(rate, vec![(0..frames).map(sample).collect()]).unwrap()
}

/// The largest difference from the function at the new times.
fn off(audio: &Audio, frequencies: &[f64]) -> f64 {
    let at = |i: usize| sound(i as f64 / f64::from(audio.rate()), frequencies);
    audio.channels()[0].iter().enumerate().map(|(i, &x)| (f64::from(x) - at(i)).abs()).fold(0.0, f64::max)
}

#[test]
fn the_function_stays_the_same_at_its_new_times() {
    let rates = [
        (44_100, 16_000),
        (48_000, 16_000),
        (16_000, 44_100),
        (16_000, 48_000),
        (44_100, 48_000),
        (8000, 22_050),
        (16_000, 15_999),
    ];
    for (from, to) in rates {
        let nyquist = f64::from(from.min(to)) / 2.0;
        let frequencies = [0.02 * nyquist, 0.31 * nyquist, 0.77 * nyquist, 0.95 * nyquist];
        let resampled = sampled(from, &frequencies).resample(to).unwrap();
        assert_eq!(resampled.frames(), (sampled(from, &[]).frames() as f64 * f64::from(to) / f64::from(from)).round() as usize);
        // A hundredth of a sample of delay would show as 0.01. What remains is the pass band's ripple and transforms of up to
        // 64000 points in f32.
        let off = off(&resampled, &frequencies);
        assert!(off < 3e-6, "{from} to {to} Hz is off by {off}");
    }
}

#[test]
fn what_the_new_rate_cannot_hold_is_gone() {
    let resampled = sampled(48_000, &[9000.0, 14_000.0, 20_000.0]).resample(16_000).unwrap();
    let loudest = resampled.channels()[0].iter().fold(0.0f32, |m, x| m.max(x.abs()));
    assert!(loudest < 1e-5, "{loudest} is left");
}

#[test]
fn lengths_are_rounded_and_channels_stay_apart() {
    for (frames, from, to) in
        [(0, 44_100, 16_000), (1, 44_100, 16_000), (1, 8000, 48_000), (7, 3, 2), (101, 48_000, 44_100), (1000, 255, 1)]
    {
        let audio = Audio::new(from, vec![vec![0.25; frames]; 2]).unwrap();
        let expected = (2 * frames as u64 * u64::from(to) + u64::from(from)) / (2 * u64::from(from));
        assert_eq!(audio.resample(to).unwrap().frames() as u64, expected, "{frames} frames, {from} to {to} Hz");
    }
    let mut channels = sampled(44_100, &[440.0]).into_channels();
    channels.push(vec![0.0; channels[0].len()]);
    let both = Audio::new(44_100, channels).unwrap().resample(16_000).unwrap();
    assert_eq!(both.channels()[0], sampled(44_100, &[440.0]).resample(16_000).unwrap().channels()[0]);
    assert!(both.channels()[1].iter().all(|&x| x == 0.0));
}

#[test]
fn impossible_rates_are_refused() {
    let audio = sampled(16_000, &[440.0]);
    assert_eq!(audio.resample(16_000).unwrap(), audio);
    for rate in [0, 1, 62, 1_000_000] {
        assert!(matches!(audio.resample(rate), Err(Error::Request(_))), "{rate} Hz");
    }
    let long = Audio::new(1000, vec![vec![0.0; 1 << 21]]).unwrap();
    assert!(matches!(long.resample(255_000), Err(Error::Request(_))));
}
