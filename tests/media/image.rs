//! Files to pixels, sizes, cuts and planes.

use wavelane::Error;
use wavelane::media::Picture;
use wavelane::media::geometry::{Rect, Turn};
use wavelane::media::image::Format;
use wavelane::media::planar::{ChannelOrder, Normalize};
use wavelane::media::resize::Filter;

use crate::support::{broken, bytes, floats, integers, json, list, path, worst, worst_of};

/// The test picture of the script.
pub fn pattern(width: u32, height: u32) -> Picture {
    let wave = |a: u32| (a % 510).abs_diff(255) as u8;
    let pixel = |x: u32, y: u32| [wave(6 * x + 2 * y), wave(x * y / 3), wave(9 * y + x * x / 8)];
    let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    Picture::new(width, height, rgb).unwrap()
}

const FILES: [&str; 10] = [
    "alpha.png",
    "chroma420.jpg",
    "chroma444.jpg",
    "grey.png",
    "lossless.webp",
    "lossy.webp",
    "palette.png",
    "progressive.jpg",
    "rgb.png",
    "turned.jpg",
];

#[test]
fn files_decode_as_pillow_decodes_them() {
    let truth = json("pictures.json");
    assert_eq!(truth["decoded"].as_object().unwrap().len(), FILES.len());
    for name in FILES {
        let picture = Picture::open(&path(name)).unwrap();
        let shape = integers(&truth["decoded"][name]["shape"]);
        assert_eq!([picture.height(), picture.width(), 3].map(|n| n as usize)[..], shape, "{name}");
        let tolerance = match name {
            // Inverse cosine transforms may differ by one in each of Y, Cb and Cr (IEEE 1180 grants as much); the colour matrix
            // scales Cb by up to 1.772.
            "chroma444.jpg" | "progressive.jpg" | "turned.jpg" => 3.0,
            // Besides, the decoders round differently when they interpolate the halved colour planes.
            "chroma420.jpg" => 4.0,
            // The fixed-point matrices of the two decoders differ in the last bit; blending with white rounds once more.
            "lossy.webp" | "alpha.png" => 1.0,
            _ => 0.0,
        };
        let worst = worst(&truth["decoded"][name], |i| picture.rgb()[i].into());
        assert!(worst <= tolerance, "{name} is off by {worst}");
    }
    assert_eq!(Picture::open(&path("rgb.png")).unwrap(), pattern(40, 30));
}

#[test]
fn pictures_survive_writing() {
    let picture = pattern(67, 45);
    for (extension, lossless) in [("png", true), ("webp", true), ("jpg", false)] {
        let path = std::env::temp_dir().join(format!("wavelane-media-{}.{extension}", std::process::id()));
        picture.save(&path).unwrap();
        let back = Picture::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((back.width(), back.height()), (67, 45));
        if lossless {
            assert_eq!(back, picture);
        } else {
            let off: f64 = picture.rgb().iter().zip(back.rgb()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
            assert!(off / (picture.rgb().len() as f64) < 4.0, "quality 92 is off by {off} in all");
        }
    }
    assert!(matches!(picture.save(&path("picture.gif")), Err(Error::Request(_))));
    assert!(matches!(Format::of_path(&path("picture")), Err(Error::Request(_))));
    assert_eq!(Format::of_path(&path("A.JPEG")).unwrap(), Format::Jpeg);
}

#[test]
fn files_cut_off_or_scrambled_give_errors() {
    for name in FILES {
        let (cut, scrambled) = broken(&bytes(name));
        for bytes in cut {
            let error = Picture::decode(&bytes).expect_err(name);
            assert!(matches!(error, Error::Format { .. }), "{name}, {} bytes: {error}", bytes.len());
        }
        // Scrambled pixels may decode, but nothing may panic, hang or pass the limits.
        for bytes in scrambled {
            if let Ok(picture) = Picture::decode_within(&bytes, 1 << 20) {
                assert!(picture.rgb().len() <= 3 << 20);
            }
        }
    }
    assert!(matches!(Picture::decode(b"GIF89a"), Err(Error::Format { .. })));
    assert!(matches!(Picture::open(&path("no.png")), Err(Error::Io { .. })));
}

#[test]
fn bombs_are_refused_by_their_header() {
    assert!(Picture::decode_within(&bytes("rgb.png"), 40 * 30).is_ok());
    for name in FILES {
        let error = Picture::decode_within(&bytes(name), 40 * 30 - 1).unwrap_err();
        assert!(matches!(&error, Error::Unsupported(what) if what.contains("1199 pixels")), "{name}: {error}");
    }
    // The header of a PNG of 2^31 - 1 pixels a side, with its checksum.
    let mut bomb = bytes("rgb.png");
    bomb[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let sum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    let error = Picture::decode(&bomb).unwrap_err();
    assert!(matches!(&error, Error::Unsupported(_)), "{error}");
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), step))
}

/// Both files make their decoder panic.
#[test]
fn a_decoder_that_panics_refuses_the_file() {
    // The checksums are right.
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x03\0\0\0\x28\xcb\x34\xbb\
        \0\0\0\x04PLTE\x01\x02\x03\x04\x23\xdb\x8a\xab\
        \0\0\0\x0aIDAT\x78\x9c\x63\x60\0\0\0\x02\0\x01\x48\xaf\xa4\x71\0\0\0\0IEND\xae\x42\x60\x82";
    let jpeg = std::fs::read(path("hostile.jpg")).unwrap();
    for bytes in [&png[..], &jpeg] {
        let error = Picture::decode(bytes).unwrap_err();
        assert_eq!(error.to_string(), "malformed picture file: the decoder failed on it");
    }
}

#[test]
fn pictures_of_impossible_sizes_are_refused() {
    assert!(matches!(Picture::new(2, 2, vec![0; 11]), Err(Error::Shape { .. })));
    assert!(matches!(Picture::new(0, 2, vec![]), Err(Error::Shape { .. })));
    assert!(matches!(Picture::filled(u32::MAX, u32::MAX, [0; 3]), Err(Error::Shape { .. })));
    let line = Picture::filled(1 << 16, 1, [0; 3]).unwrap();
    for filter in [Filter::Bilinear, Filter::Linear, Filter::Area] {
        assert!(matches!(line.resize(0, 1, filter), Err(Error::Shape { .. })));
        assert!(matches!(line.resize(1 << 14, 1 << 14, filter), Err(Error::Shape { .. })));
    }
    // The result is small, what lies between the passes is not.
    assert!(matches!(line.resize(1, 1 << 16, Filter::Bilinear), Err(Error::Shape { .. })));
}

#[test]
fn resizing_equals_pillow_and_opencv() {
    let source = pattern(97, 61);
    for case in list(&json("pictures.json")["resized"]) {
        let (name, size) = (case["filter"].as_str().unwrap(), integers(&case["size"]));
        let (filter, tolerance) = match name {
            "bilinear" => (Filter::Bilinear, 1.0),
            // Pillow rounds to bytes between the two passes, which the second one amplifies by the sum of its absolute weights,
            // up to 1.26 and 1.52; both round at the end.
            "bicubic" => (Filter::Bicubic, 2.0),
            "lanczos" => (Filter::Lanczos, 2.0),
            // Both round once; OpenCV's weights have 11 bits.
            "linear" => (Filter::Linear, 1.0),
            "area" => (Filter::Area, 1.0),
            _ => panic!("{name}"),
        };
        let resized = source.resize(size[0] as u32, size[1] as u32, filter).unwrap();
        let worst = worst(case, |i| resized.rgb()[i].into());
        assert!(worst <= tolerance, "{name} to {size:?} is off by {worst}");
    }
}

#[test]
fn quadrilaterals_are_pulled_straight() {
    let source = pattern(97, 61);
    for case in list(&json("pictures.json")["quads"]) {
        let corners: Vec<f32> = list(&case["quad"]).iter().flat_map(floats).map(|v| v as f32).collect();
        let quad = std::array::from_fn(|i| [corners[2 * i], corners[2 * i + 1]]);
        let cut = source.crop_quad(&quad).unwrap();
        let shape = integers(&case["shape"]);
        assert_eq!([cut.height(), cut.width(), 3].map(|n| n as usize)[..], shape);
        // Half a byte of rounding on either side of the exact value.
        let off = worst(case, |i| cut.rgb()[i].into());
        assert!(off <= 1.0, "{quad:?} is off by {off}");
        // OpenCV may read at 1/32 of a pixel in x and y: at most 1/64 off, times slopes of up to 20 and 32 a pixel (green); and
        // both round.
        let off = worst_of(&floats(&case["opencv"]), shape.iter().product(), |i| cut.rgb()[i].into());
        assert!(off <= 2.0, "{quad:?} is off OpenCV's by {off}");
    }
    let bowtie = [[0.0, 0.0], [9.0, 9.0], [9.0, 0.0], [0.0, 9.0]];
    let dent = [[0.0, 0.0], [9.0, 0.0], [2.0, 2.0], [0.0, 9.0]];
    let line = [[0.0, 0.0], [5.0, 0.0], [9.0, 0.0], [2.0, 0.0]];
    let nan = [[f32::NAN, 0.0], [9.0, 0.0], [9.0, 9.0], [0.0, 9.0]];
    let huge = [[0.0, 0.0], [1e30, 0.0], [1e30, 1e30], [0.0, 1e30]];
    let thin = [[0.0, 0.0], [9.0, 0.0], [9.0, 0.5], [0.0, 0.5]];
    for quad in [bowtie, dent, line, nan, huge, thin] {
        assert!(matches!(source.crop_quad(&quad), Err(Error::Shape { .. })), "{quad:?}");
    }
}

#[test]
fn cuts_frames_and_turns_move_the_right_pixels() {
    let picture = pattern(7, 5);
    let at = |p: &Picture, x: u32, y: u32| {
        let start = (y * p.width() + x) as usize * 3;
        p.rgb()[start..start + 3].to_vec()
    };
    let part = picture.crop(Rect { x: 2, y: 1, width: 3, height: 4 }).unwrap();
    assert_eq!(at(&part, 1, 2), at(&picture, 3, 3));
    for part in [(5, 0, 3, 1), (0, 0, 0, 1), (u32::MAX, 0, 2, 1)] {
        let (x, y, width, height) = part;
        assert!(matches!(picture.crop(Rect { x, y, width, height }), Err(Error::Shape { .. })), "{part:?}");
    }
    // Margins of 3 and 1 rows: their halves round to even.
    assert_eq!(at(&picture.center_crop(4, 4).unwrap(), 0, 0), at(&picture, 2, 0));
    assert!(picture.center_crop(8, 1).is_err());

    let padded = picture.pad(9, 8, 1, 2, [9, 8, 7]).unwrap();
    assert_eq!((at(&padded, 0, 2), at(&padded, 1, 2)), (vec![9, 8, 7], at(&picture, 0, 0)));
    assert!(picture.pad(9, 8, 3, 0, [0; 3]).is_err());
    let (boxed, place) = picture.letterbox(20, 20, Filter::Bilinear, [1, 2, 3]).unwrap();
    assert_eq!(place, Rect { x: 0, y: 3, width: 20, height: 14 });
    assert_eq!((at(&boxed, 0, 2), at(&boxed, 19, 17)), (vec![1, 2, 3], vec![1, 2, 3]));

    let quarter = picture.turn(Turn::Quarter);
    assert_eq!((quarter.width(), quarter.height()), (5, 7));
    assert_eq!(at(&quarter, 4, 0), at(&picture, 0, 0));
    assert_eq!(at(&picture.turn(Turn::Half), 6, 4), at(&picture, 0, 0));
    assert_eq!(quarter.turn(Turn::Half), picture.turn(Turn::ThreeQuarters));
    assert_eq!(quarter.turn(Turn::ThreeQuarters), picture);
}

#[test]
fn planes_hold_the_formula_and_lead_back() {
    let picture = pattern(6, 4);
    let (mean, std) = ([0.1, 0.2, 0.3], [0.5, 0.25, 2.0]);
    for order in [ChannelOrder::Rgb, ChannelOrder::Bgr] {
        let normalize = Normalize { scale: 1.0 / 255.0, mean, std, order };
        let planes = picture.to_nchw(&normalize);
        let colour = if order == ChannelOrder::Rgb { 0 } else { 2 };
        let byte = f32::from(picture.rgb()[(2 * 6 + 5) * 3 + colour]);
        assert_eq!(planes[2 * 6 + 5], (byte * (1.0 / 255.0) - 0.1) / 0.5);
        assert_eq!(Picture::from_nchw(&planes, 6, 4, &normalize).unwrap(), picture);
    }
    let clamped = Picture::from_nchw(&[-3.0, 7.0, f32::NAN], 1, 1, &Normalize::UNIT).unwrap();
    assert_eq!(clamped.rgb(), [0, 255, 0]);
    assert!(matches!(Picture::from_nchw(&[0.0; 11], 2, 2, &Normalize::UNIT), Err(Error::Shape { .. })));
}
