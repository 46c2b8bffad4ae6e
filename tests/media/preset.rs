//! Presets beside the pre-processing that the models' own packages do, written down with Pillow and OpenCV.

use wavelane::Error;
use wavelane::media::geometry::Rect;
use wavelane::media::preset::{Fill, Fit, PRESETS, SideLimit};
use wavelane::media::{Picture, Preset};

use crate::image::pattern;
use crate::support::{integers, json, list, worst};

#[test]
fn presets_equal_the_packages_that_they_are_named_after() {
    let truth = json("pictures.json");
    let cases = list(&truth["presets"]);
    assert_eq!(cases.len(), 3 * PRESETS.len());
    for case in cases {
        let (name, size) = (case["preset"].as_str().unwrap(), integers(&case["size"]));
        let preset = Preset::named(name).unwrap();
        let batch = preset.prepare(&[pattern(size[0] as u32, size[1] as u32)]).unwrap();
        assert_eq!(batch.shape[..], integers(&case["shape"]), "{name} of {size:?}");
        assert_eq!(batch.data.len(), batch.shape.iter().product::<usize>());
        // The resizes are one byte apart at most, see `resizing_equals_pillow_and_opencv`; in the network's units that is 1/255
        // over the standard deviation, and a few roundings.
        let least = preset.normalize.std.iter().copied().fold(f32::INFINITY, f32::min);
        let tolerance = if name == "unit" { 0.0 } else { 1.0 / 255.0 / f64::from(least) } + 1e-6;
        let worst = worst(case, |i| batch.data[i].into());
        assert!(worst <= tolerance, "{name} of {size:?} is off by {worst}, of {tolerance}");
    }
}

#[test]
fn a_batch_of_lines_is_as_wide_as_the_widest() {
    let preset = Preset::named("paddleocr-rec").unwrap();
    let lines = [pattern(100, 20), pattern(500, 25), pattern(10, 40)];
    let batch = preset.prepare(&lines).unwrap();
    assert_eq!(batch.shape, [3, 3, 48, 960]);
    let widths: Vec<u32> = batch.places.iter().map(|p| p.width).collect();
    assert_eq!(widths, [240, 960, 12]);
    // Beside a line there are zeros, and the line is what it would be alone.
    let alone = preset.prepare(&lines[..1]).unwrap();
    assert_eq!(alone.shape, [1, 3, 48, 320]);
    let plane = 2 * 48 * 960 + 7 * 960;
    assert_eq!(batch.data[plane..plane + 240], alone.data[2 * 48 * 320 + 7 * 320..][..240]);
    assert!(batch.data[plane + 240..plane + 960].iter().all(|&v| v == 0.0));
}

#[test]
fn places_say_where_a_picture_lies() {
    let batch = Preset::named("vit-focus").unwrap().prepare(&[pattern(100, 50), pattern(50, 100)]).unwrap();
    let (wide, high) = (Rect { x: 0, y: 56, width: 224, height: 112 }, Rect { x: 56, y: 0, width: 112, height: 224 });
    assert_eq!(batch.places, [wide, high]);
    // Black, normalised as in ImageNet.
    assert_eq!(batch.data[0], (0.0 - 0.485) / 0.229);
}

#[test]
fn sides_are_limited_as_paddleocr_limits_them() {
    let canvas = |limit, width, height| Fit::Multiple { of: 32, limit }.canvas(width, height);
    assert_eq!(canvas(SideLimit::ShortAtLeast(736), 1000, 500), (1472, 736));
    assert_eq!(canvas(SideLimit::ShortAtLeast(736), 1000, 1500), (992, 1504));
    assert_eq!(canvas(SideLimit::LongAtMost(960), 1920, 1080), (960, 544));
    assert_eq!(canvas(SideLimit::LongAtMost(960), 300, 200), (288, 192));
    // 304 is 9.5 times 32, and 240 is 7.5 times 32: both go to the even multiple.
    assert_eq!(canvas(SideLimit::LongAtMost(960), 304, 240), (320, 256));
}

#[test]
fn impossible_batches_are_refused() {
    let refused = |name: &str, pictures: &[Picture]| {
        let result = Preset::named(name).unwrap().prepare(pictures);
        assert!(matches!(result, Err(Error::Shape { .. })), "{name}");
    };
    refused("imagenet", &[]);
    refused("unit", &[pattern(3, 4), pattern(4, 3)]);
    refused("paddleocr-det", &[pattern(1, 300_000)]);
    refused("paddleocr-rec", &[Picture::filled(1 << 24, 1, [0; 3]).unwrap()]);
    refused("imagenet", &[Picture::filled(1 << 26, 1, [0; 3]).unwrap()]);
    let mut small = Preset::named("paddleocr-det").unwrap().clone();
    small.fit = Fit::Multiple { of: 32, limit: SideLimit::LongAtMost(960) };
    assert!(matches!(small.prepare(&[pattern(15, 300)]), Err(Error::Shape { .. })));
    assert!(matches!(Preset::named("imagenet-21k"), Err(Error::Request(what)) if what.contains("vit-focus")));
    assert_eq!(small.fill, Fill::Colour([0; 3]));
}
