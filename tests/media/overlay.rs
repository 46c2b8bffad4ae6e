//! Outlines, masks and heat maps.

use wavelane::Error;
use wavelane::media::Picture;
use wavelane::media::overlay::heat;

const WHITE: [u8; 3] = [255; 3];

fn black(width: u32, height: u32) -> Picture {
    Picture::filled(width, height, [0; 3]).unwrap()
}

fn at(picture: &Picture, x: usize, y: usize) -> u8 {
    picture.rgb()[(y * picture.width() as usize + x) * 3]
}

#[test]
fn outlines_are_as_thick_as_asked_and_leave_the_inside() {
    let mut picture = black(40, 30);
    picture.draw_quad(&[[5.0, 5.0], [30.0, 5.0], [30.0, 20.0], [5.0, 20.0]], 3.0, WHITE);
    for (x, y, value) in [(5, 10, 255), (4, 10, 255), (6, 10, 255), (7, 10, 0), (3, 10, 0), (17, 12, 0), (30, 20, 255)] {
        assert_eq!(at(&picture, x, y), value, "({x}, {y})");
    }
    // A slanted line covers as much as its length times its thickness; the degenerate quadrilateral is one line.
    let mut line = black(100, 100);
    line.draw_quad(&[[20.0, 20.0], [80.0, 50.0], [80.0, 50.0], [20.0, 20.0]], 2.0, WHITE);
    let covered: f32 = line.rgb().iter().map(|&b| f32::from(b) / 255.0).sum::<f32>() / 3.0;
    let expected = 60f32.hypot(30.0) * 2.0 + std::f32::consts::PI;
    assert!((covered / expected - 1.0).abs() < 0.03, "{covered} of {expected} pixels");
}

#[test]
fn outlines_outside_or_not_finite_do_no_harm() {
    let mut picture = black(8, 8);
    picture.draw_quad(&[[-1e30, -1e30], [-9e29, -1e30], [-9e29, -9e29], [-1e30, -9e29]], 2.0, WHITE);
    picture.draw_quad(&[[100.0, 1.0], [200.0, 1.0], [200.0, 9.0], [100.0, 9.0]], 2.0, WHITE);
    picture.draw_quad(&[[f32::NAN, 1.0], [2.0, 1.0], [2.0, 9.0], [1.0, 9.0]], 2.0, WHITE);
    picture.draw_quad(&[[1.0, 1.0], [2.0, 1.0], [2.0, 9.0], [1.0, 9.0]], f32::INFINITY, WHITE);
    assert_eq!(picture, black(8, 8));
    picture.draw_quad(&[[-1e4, 4.0], [1e4, 4.0], [1e4, 1e4], [-1e4, 1e4]], 1.0, WHITE);
    assert_eq!((at(&picture, 0, 4), at(&picture, 7, 4), at(&picture, 3, 6)), (255, 255, 0));
}

#[test]
fn masks_are_stretched_and_blended() {
    let mut picture = black(4, 2);
    picture.blend_mask(&[0.0, 1.0], [2, 1], WHITE, 0.5).unwrap();
    // New centres at -1/4, 1/4, 3/4, 5/4 of the mask's: 0, a quarter, three quarters, all of half.
    let row = |y| (0..4).map(|x| at(&picture, x, y)).collect::<Vec<_>>();
    assert_eq!(row(0), [0, 32, 96, 128]);
    assert_eq!(row(1), row(0));
    for (mask, size) in [(vec![], [0, 0]), (vec![0.0; 3], [2, 2]), (vec![0.0; 4], [usize::MAX, 2])] {
        assert!(matches!(picture.blend_mask(&mask, size, WHITE, 1.0), Err(Error::Shape { .. })));
    }
}

#[test]
fn heat_maps_use_the_range_and_survive_nan() {
    let mut picture = black(5, 1);
    picture.blend_heat(&[f32::NEG_INFINITY, 2.0, 3.0, 9.0, f32::NAN], [5, 1], [2.0, 4.0], 1.0).unwrap();
    let pixels: Vec<[u8; 3]> = picture.rgb().chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
    assert_eq!(pixels, [heat(0.0), heat(0.0), heat(128.0 / 255.0), heat(1.0), heat(0.0)]);
    assert!(picture.blend_heat(&[1.0], [1, 1], [1.0, 1.0], 0.5).is_ok());
}

/// sRGB to Oklab, the inverse of what the map computes, with the matrices of the paper in f64.
fn oklab(rgb: [u8; 3]) -> [f64; 3] {
    let linear = rgb.map(|b| {
        let v = f64::from(b) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    let times = |m: [[f64; 3]; 3], v: [f64; 3]| m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
    let cone = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ];
    let lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ];
    times(lab, times(cone, linear).map(f64::cbrt))
}

#[test]
fn the_colour_map_is_even_in_lightness_and_inside_the_gamut() {
    let colours: Vec<[f64; 3]> = (0..=64).map(|i| oklab(heat(i as f32 / 64.0))).collect();
    for (i, [l, a, b]) in colours.iter().enumerate() {
        let t = i as f64 / 64.0;
        // A clamped channel would move lightness and chroma; rounding to bytes moves them by less than 0.01, dark colours most.
        assert!((l - (0.15 + 0.80 * t)).abs() < 0.01, "lightness {l} at {t}");
        let chroma = 0.08 + 0.06 * t + 0.055 * (std::f64::consts::PI * t).sin();
        assert!((a.hypot(*b) - chroma).abs() < 0.012, "chroma {} instead of {chroma} at {t}", a.hypot(*b));
    }
    let steps = colours.windows(2).map(|w| (0..3).map(|i| (w[1][i] - w[0][i]).powi(2)).sum::<f64>().sqrt());
    let (least, most) = steps.fold((f64::INFINITY, 0.0f64), |(least, most), s| (least.min(s), most.max(s)));
    assert!(most / least < 2.5, "steps between {least} and {most}");
}
