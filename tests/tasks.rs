//! Whole tasks beside what the packages that carry the models make of the same files (`scripts/make_pipeline_goldens.py`), and
//! beside a page whose text is known (`scripts/make_task_vectors.py`). A test is passed over, with a line that says so, where its
//! models are absent, and fails there if `WAVELANE_REQUIRE_MODELS` is set.

#[path = "support/devices.rs"]
mod devices;
mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use wavelane::formats::npy::read_npz;
use wavelane::media::geometry::{Quad, Rect};
use wavelane::media::{Audio, Picture};
use wavelane::session::Device;
use wavelane::tasks::ocr::{FILES, Line, Ocr};
use wavelane::tasks::saliency::Saliency;
use wavelane::tasks::vad::{Rules, Vad, speech};

/// How far a corner may be from its golden: pixels of the page, where those of the detector's map are half as large.
const PIXELS: f32 = 3.0;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn pipelines() -> Value {
    serde_json::from_slice(&std::fs::read(data("onnx/goldens/pipelines.json")).unwrap()).unwrap()
}

/// A device to run real models on: the CPU reference would take minutes.
fn device() -> Device {
    Device::Gpu(devices::open().remove(0))
}

/// The reader of text, if all its models are there.
fn reader() -> Option<Ocr> {
    let paths = FILES.map(|file| support::optional_model(&format!("ocr/{file}"), "ocr"));
    let [Some(first), Some(_), Some(_)] = paths else { return None };
    Some(Ocr::open(first.parent().unwrap(), &device()).unwrap())
}

fn read(reader: &mut Ocr, page: &str) -> Vec<Line> {
    reader.read(&Picture::open(&data(page)).unwrap()).unwrap()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn pages_are_read_as_rapidocr_reads_them() {
    let Some(mut reader) = reader() else { return };
    for page in pipelines()["text"].as_array().unwrap() {
        let file = page["file"].as_str().unwrap();
        let found = read(&mut reader, &format!("onnx/goldens/{file}"));
        let expected = page["lines"].as_array().unwrap();
        let wanted: Vec<&str> = expected.iter().map(|line| line["text"].as_str().unwrap()).collect();
        assert_eq!(texts(&found), wanted, "{file}");
        for (line, golden) in found.iter().zip(expected) {
            let quad: Quad = serde_json::from_value(golden["box"].clone()).unwrap();
            let off = line.quad.as_flattened().iter().zip(quad.as_flattened()).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f32::max) <= PIXELS, "{file}: {line:?} {golden}");
            // A crop that is a pixel larger reads a little differently.
            let score = golden["text_score"].as_f64().unwrap();
            assert!((f64::from(line.text_score) - score).abs() <= 0.02, "{file}: {line:?} {golden}");
            assert_eq!(line.turned, golden["turned"] == "180", "{file}: {line:?}");
        }
        // That package puts boxes in order and leaves their scores as they were, so they are compared without it.
        let mut scores: Vec<f64> = found.iter().map(|line| f64::from(line.box_score)).collect();
        let mut wanted: Vec<f64> = expected.iter().map(|line| line["box_score"].as_f64().unwrap()).collect();
        scores.sort_by(f64::total_cmp);
        wanted.sort_by(f64::total_cmp);
        assert!(scores.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 0.01), "{file}: {scores:?} {wanted:?}");
    }
}

#[test]
fn a_page_in_columns_with_a_line_on_its_side_is_read() {
    let Some(mut reader) = reader() else { return };
    let found = read(&mut reader, "tasks/page_three.png");
    let expected = ["Tide table", "Harbour office", "high water 04:12", "5.8 m", "low water 10:37", "0.9 m"];
    assert_eq!(texts(&found), expected);
    // Nothing is written on an empty page.
    assert_eq!(reader.read(&Picture::filled(300, 200, [240; 3]).unwrap()).unwrap(), []);
}

#[test]
fn speech_is_found_where_silero_finds_it() {
    let Some(model) = support::optional_model("silero-vad/silero_vad.onnx", "silero-vad") else { return };
    let mut vad = Vad::open(&model, &device()).unwrap();
    for golden in pipelines()["speech"].as_array().unwrap() {
        let sound = Audio::open(&data(&format!("onnx/goldens/{}", golden["file"].as_str().unwrap()))).unwrap();
        let found = vad.probabilities(&sound, &mut |_, _| {}).unwrap();
        let expected: Vec<f64> = golden["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
        assert_eq!(found.len(), expected.len());
        let far = found.iter().zip(&expected).position(|(a, b)| (f64::from(*a) - b).abs() > 0.01);
        assert_eq!(far, None, "{found:?}");
        let found = speech(&found, sound.frames(), &Rules::default());
        let expected = golden["speech"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (segment, golden) in found.iter().zip(expected) {
            let near = |found: usize, name: &str| found.abs_diff(golden[name].as_u64().unwrap() as usize) <= 512;
            assert!(near(segment.start, "start") && near(segment.end, "end"), "{segment:?} {golden}");
        }
    }
}

#[test]
fn silence_holds_no_speech() {
    let Some(model) = support::optional_model("silero-vad/silero_vad.onnx", "silero-vad") else { return };
    let mut vad = Vad::open(&model, &Device::Cpu).unwrap();
    let silence = Audio::new(44_100, vec![vec![0.0; 11_025]; 2]).unwrap();
    assert!(vad.segments(&silence, &Rules::default()).unwrap().is_empty());
}

#[test]
fn importance_agrees_with_the_golden_map() {
    let Some(model) = support::optional_model("vit_s_focus.onnx", "vit-focus") else { return };
    let mut saliency = Saliency::open(&model, &device()).unwrap();
    let scenes = Picture::open(&data("onnx/goldens/scenes.png")).unwrap();
    let ball = scenes.crop(Rect { x: 0, y: 0, width: 224, height: 224 }).unwrap();
    let map = saliency.map(&ball).unwrap();
    assert_eq!((map.width, map.height), (224, 224));
    let golden = read_npz(&std::fs::read(data("onnx/goldens/vit_ball.npz")).unwrap(), 1 << 24).unwrap();
    let (at, values) = (golden["out0_at"].1.as_i64().unwrap(), golden["out0_values"].1.as_f32().unwrap());
    for (at, value) in at.iter().zip(values) {
        let found = map.values[*at as usize];
        assert!((found - value).abs() < 1e-4, "{found} at {at}, not {value}");
    }
    // The ball is red and round, and lies at (640, 560) of 896: there people look.
    let (peak, [x, y]) = map.peak().unwrap();
    assert!(peak > 0.9 && x.abs_diff(160) < 40 && y.abs_diff(140) < 40, "{peak} at {x}, {y}");
    // Half the scene again, wide: the map covers the picture and not what was put around it.
    let wide = scenes.crop(Rect { x: 0, y: 56, width: 224, height: 112 }).unwrap();
    let map = saliency.map(&wide).unwrap();
    assert_eq!((map.width, map.height, map.values.len()), (224, 112, 224 * 112));
}
