//! The examples run and print what they promise.
#![cfg(feature = "text")]

mod support;

#[cfg(feature = "image")]
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

#[cfg(feature = "image")]
use wavelane::formats::npy::read_npz;
#[cfg(feature = "image")]
use wavelane::media::Picture;
#[cfg(feature = "image")]
use wavelane::media::planar::Normalize;

/// What `cargo test` built of an example, beside this test; with `--test` alone cargo builds no examples.
fn example(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    let path = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "the example is not built: cargo build --examples");
    path
}

fn run(name: &str, text: &str, device: &str) -> Option<String> {
    let model = support::model_path()?;
    let output = Command::new(example(name)).arg(model).args([text, device]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_text_is_continued() {
    let Some(text) = run("generate", "The capital of France is", "cpu") else { return };
    assert!(text.starts_with(" Paris."), "{text}");
}

#[test]
fn a_stream_answers() {
    let Some(text) = run("stream", "What is the capital of France?", "cpu") else { return };
    assert!(text.contains("Paris"), "{text}");
}

#[test]
fn a_host_device_serves() {
    let Some(text) = run("host_device", "The capital of France is", "llvmpipe") else { return };
    assert!(text.starts_with(" Paris."), "{text}");
}

#[cfg(feature = "image")]
#[test]
fn a_picture_is_enlarged() {
    let Some(model) = support::upscaler_path() else { return };
    let folder = Path::new("tests/data/upscale");
    let output = std::env::temp_dir().join(format!("wavelane-upscale-{}.png", std::process::id()));
    let status = Command::new(example("upscale")).arg(model).arg(folder.join("picture.png")).arg(&output).arg("cpu").status();
    assert!(status.unwrap().success());
    let enlarged = Picture::open(&output).unwrap();
    std::fs::remove_file(&output).unwrap();

    let golden = read_npz(&std::fs::read(folder.join("enlarged.npz")).unwrap(), 1 << 20).unwrap();
    let golden = golden["enlarged"].1.as_f32().unwrap();
    let golden = Picture::from_nchw(golden, enlarged.width(), enlarged.height(), &Normalize::UNIT).unwrap();
    // Rounding to bytes may go either way where a value lies between two.
    assert!(enlarged.rgb().iter().zip(golden.rgb()).all(|(a, b)| a.abs_diff(*b) <= 1));
}
