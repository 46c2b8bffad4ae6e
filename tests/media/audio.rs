//! Files to samples and back.

use wavelane::Error;
use wavelane::media::Audio;
use wavelane::media::audio::MAX_RATE;
use wavelane::media::wav::SampleFormat;

use crate::support::{broken, bytes, integer, integers, json, path, worst};

const FILES: [&str; 6] = ["float.wav", "int16.wav", "int24.wav", "stereo.flac", "stereo.mp3", "stereo.ogg"];

#[test]
fn files_decode_as_libsndfile_decodes_them() {
    let truth = json("sounds.json");
    assert_eq!(truth["decoded"].as_object().unwrap().len(), FILES.len());
    for name in FILES {
        let audio = Audio::open(&path(name)).unwrap();
        let expected = &truth["decoded"][name];
        assert_eq!(audio.rate() as usize, integer(&expected["rate"]), "{name}");
        assert_eq!([audio.channels().len(), audio.frames()][..], integers(&expected["shape"]), "{name}");
        let tolerance = match name {
            // Transforms in f32, summed in another order, of samples up to 0.5: a few hundred units of 2^-24.
            "stereo.mp3" | "stereo.ogg" => 2e-5,
            // Seven digits in the file of expected values.
            _ => 5e-8,
        };
        let worst = worst(expected, |i| audio.channels()[i / audio.frames()][i % audio.frames()].into());
        assert!(worst <= tolerance, "{name} is off by {worst}");
    }
}

#[test]
fn files_cut_off_or_scrambled_give_errors() {
    for name in FILES {
        let whole = Audio::decode(bytes(name)).unwrap();
        let (cut, scrambled) = broken(&bytes(name));
        for bytes in cut {
            let length = bytes.len();
            match Audio::decode(bytes) {
                Err(Error::Format { .. } | Error::Unsupported(_)) => (),
                Err(error) => panic!("{name}, {length} bytes: {error}"),
                // Streams may end anywhere.
                Ok(part) => {
                    assert!(name.ends_with("mp3") || name.ends_with("ogg"), "{name}, {length} bytes");
                    assert!(part.frames() <= whole.frames(), "{name}, {length} bytes: {} frames", part.frames());
                }
            }
        }
        for bytes in scrambled {
            if let Ok(audio) = Audio::decode_within(bytes, 1 << 20) {
                assert!(audio.frames() * audio.channels().len() <= 1 << 20);
            }
        }
    }
    // 65535 channels of 3 bytes pass 16 bits, which the decoder's arithmetic does not foresee.
    let mut wide = bytes("int24.wav");
    wide[22..24].fill(0xff);
    assert!(matches!(Audio::decode(wide), Err(Error::Format { .. } | Error::Unsupported(_))));
    assert!(matches!(Audio::decode(b"RIFF".to_vec()), Err(Error::Format { .. } | Error::Unsupported(_))));
    assert!(matches!(Audio::decode(vec![]), Err(Error::Format { .. } | Error::Unsupported(_))));
    assert!(matches!(Audio::open(&path("no.wav")), Err(Error::Io { .. })));
}

#[test]
fn the_limit_holds() {
    for name in FILES {
        let audio = Audio::decode(bytes(name)).unwrap();
        let samples = audio.frames() * audio.channels().len();
        assert!(Audio::decode_within(bytes(name), samples).is_ok());
        assert!(matches!(Audio::decode_within(bytes(name), samples - 1), Err(Error::Unsupported(_))), "{name}");
    }
}

#[test]
fn wav_files_survive_writing() {
    let audio = Audio::open(&path("int16.wav")).unwrap();
    // What came from 16 bits goes back into them, and the header is the one that libsndfile writes.
    assert_eq!(audio.to_wav(SampleFormat::Int16).unwrap(), bytes("int16.wav"));
    let fine = Audio::new(11_025, vec![vec![0.1, -1.0, 1.0, 2.5, f32::MIN_POSITIVE]; 3]).unwrap();
    assert_eq!(Audio::decode(fine.to_wav(SampleFormat::Float32).unwrap()).unwrap(), fine);
    let clipped = Audio::decode(fine.to_wav(SampleFormat::Int16).unwrap()).unwrap();
    assert_eq!(clipped.channels()[0], [3277.0 / 32768.0, -1.0, 32767.0 / 32768.0, 32767.0 / 32768.0, 0.0]);
    let path = std::env::temp_dir().join(format!("wavelane-media-{}.wav", std::process::id()));
    fine.save_wav(&path, SampleFormat::Float32).unwrap();
    assert_eq!(Audio::open(&path).unwrap(), fine);
    std::fs::remove_file(&path).unwrap();
    let wide = Audio::new(8000, vec![vec![]; 40_000]).unwrap();
    assert!(matches!(wide.to_wav(SampleFormat::Int16), Err(Error::Request(_))));
}

#[test]
fn impossible_audio_is_refused_and_mono_is_the_mean() {
    for (rate, channels) in [(8000, vec![]), (0, vec![vec![]]), (MAX_RATE + 1, vec![vec![]]), (8000, vec![vec![0.0], vec![]])] {
        assert!(matches!(Audio::new(rate, channels), Err(Error::Shape { .. })));
    }
    let audio = Audio::new(8000, vec![vec![1.0, 0.5], vec![0.0, -0.25]]).unwrap();
    assert_eq!(audio.to_mono().into_channels(), [[0.5, 0.125]]);
}
