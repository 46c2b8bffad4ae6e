//! Transforms beside numpy's, filter banks and Whisper's features beside those of transformers.

use wavelane::Error;
use wavelane::media::mel::{MelBank, MelNorm, MelScale, WhisperMel};
use wavelane::media::spectrum::{Padding, Spectrogram, Stft};

use crate::support::{floats, integer, integers, json, list, worst};

/// The test sound of the script.
fn noise(samples: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (state / 256 % 65_536) as f32 / 65_536.0 - 0.5
    };
    (0..samples).map(|_| next()).collect()
}

#[test]
fn transforms_equal_numpy() {
    for case in list(&json("sounds.json")["spectra"]) {
        let padding = match case["padding"].as_str().unwrap() {
            "reflect" => Padding::Reflect,
            "zeros" => Padding::Zeros,
            _ => Padding::None,
        };
        let (n_fft, hop) = (integer(&case["n_fft"]), integer(&case["hop"]));
        let stft = Stft::new(n_fft, hop, padding).unwrap();
        let samples = noise(integer(&case["samples"]));
        let complex = stft.transform(&samples).unwrap();
        assert_eq!([complex.frames, complex.bins][..], integers(&case["real"]["shape"]));
        assert_eq!((complex.frames, complex.bins), (stft.frames(samples.len()), stft.bins()));
        // A fast transform in f32 errs by about log2(n) units of 2^-24 relative to the spectrum's norm, about 10 here.
        let tolerance = 1e-5;
        assert!(worst(&case["real"], |i| complex.data[i].re.into()) < tolerance);
        assert!(worst(&case["imag"], |i| complex.data[i].im.into()) < tolerance);
        // Powers up to about 200: twice the magnitude times its error.
        let power = stft.power(&samples).unwrap();
        assert!(worst(&case["power"], |i| power.data[i].into()) < 2.0 * 15.0 * tolerance);
        let magnitude = stft.magnitude(&samples).unwrap();
        assert!(magnitude.data.iter().zip(&power.data).all(|(m, p)| (m * m - p).abs() <= 1e-6 * p));
    }
}

#[test]
fn impossible_transforms_are_refused() {
    for (n_fft, hop) in [(0, 1), (1, 1), (400, 0), (usize::MAX, 1)] {
        assert!(matches!(Stft::new(n_fft, hop, Padding::None), Err(Error::Request(_))));
    }
    let short = |padding, samples| Stft::new(400, 160, padding).unwrap().power(&noise(samples));
    assert!(matches!(short(Padding::None, 399), Err(Error::Request(_))));
    assert!(matches!(short(Padding::Reflect, 200), Err(Error::Request(_))));
    assert_eq!(short(Padding::None, 400).unwrap().frames, 1);
    assert_eq!(short(Padding::Reflect, 201).unwrap().frames, 2);
    assert_eq!(short(Padding::Zeros, 0).unwrap().data, [0.0; 201]);
}

#[test]
fn mel_banks_equal_transformers() {
    for case in list(&json("sounds.json")["banks"]) {
        let scale = if case["scale"] == "htk" { MelScale::Htk } else { MelScale::Slaney };
        let norm = if case["area"] == true { MelNorm::Area } else { MelNorm::Peak };
        let (rate, n_fft, bands) = (integer(&case["rate"]) as u32, integer(&case["n_fft"]), integer(&case["bands"]));
        let range = floats(&case["range"]);
        let bank = MelBank::new(rate, n_fft, bands, [range[0], range[1]], scale, norm).unwrap();
        let weights = bank.weights();
        // Both compute in f64; one rounding to f32, and seven digits in the file.
        let off = worst(case, |i| weights[i].into());
        assert!(off < 2e-7, "{scale:?} {norm:?}: off by {off}");
        let bins = n_fft / 2 + 1;
        for (row, sum) in weights.chunks_exact(bins).zip(floats(&case["sums"])) {
            let found: f64 = row.iter().map(|&w| f64::from(w)).sum();
            assert!((found - sum).abs() < 1e-6 * sum.max(1.0), "{scale:?} {norm:?}: a band sums to {found} instead of {sum}");
        }
        for hz in [0.0, 440.0, 999.0, 1000.0, 7600.0] {
            assert!((scale.hz(scale.mel(hz)) - hz).abs() < 1e-9);
        }
    }
}

#[test]
fn impossible_banks_and_spectrograms_are_refused() {
    let bank = |bands, low, high| MelBank::new(16_000, 400, bands, [low, high], MelScale::Htk, MelNorm::Peak);
    for (bands, low, high) in [(0, 0.0, 8000.0), (80, -1.0, 8000.0), (80, 0.0, 8001.0), (80, 5.0, 5.0), (80, f64::NAN, 1.0)] {
        assert!(matches!(bank(bands, low, high), Err(Error::Request(_))));
    }
    let bank = bank(80, 0.0, 8000.0).unwrap();
    let spectrum = |frames, bins, values| Spectrogram { frames, bins, data: vec![0.0; values] };
    assert!(bank.apply(&spectrum(2, 201, 402)).is_ok());
    for wrong in [spectrum(2, 200, 400), spectrum(2, 201, 401), spectrum(usize::MAX, 201, 201)] {
        assert!(matches!(bank.apply(&wrong), Err(Error::Shape { .. })));
    }
}

#[test]
fn whisper_features_equal_transformers() {
    for case in list(&json("sounds.json")["whisper"]) {
        let (bands, samples) = (integer(&case["bands"]), integer(&case["samples"]));
        let mut sound = noise(samples);
        for x in &mut sound[samples / 2..] {
            *x /= 1024.0;
        }
        let mel = WhisperMel::new(bands).unwrap();
        let features = mel.window(&sound).unwrap();
        assert_eq!((features.bands, features.frames, features.data.len()), (bands, 3000, bands * 3000));
        let columns = integers(&case["shape"])[1];
        // transformers transforms in f64. A relative error e of a band's power is e / ln(10) / 4 in the features; bands sum
        // squares, so that the 1e-6 of a transform in f32 remains.
        let off = worst(case, |i| features.data[i / columns * 3000 + i % columns].into());
        assert!(off < 2e-6, "{bands} bands are off by {off}");
        // Without the silence behind it, a sound has fewer frames, and only its last ones differ: they mirror its end.
        let own = mel.features(&sound).unwrap();
        assert_eq!(own.frames, samples / 160);
        let whole = own.frames - 2;
        for band in 0..bands {
            assert_eq!(own.data[band * own.frames..][..whole], features.data[band * 3000..][..whole]);
        }
    }
    assert!(matches!(WhisperMel::new(80).unwrap().features(&[0.0; 200]), Err(Error::Request(_))));
    assert_eq!(WhisperMel::new(80).unwrap().window(&[]).unwrap().data, vec![-1.5; 80 * 3000]);
}
