//! Showing what a network found: outlines, masks and heat maps over a [`Picture`].

use super::geometry::{Quad, bilinear};
use super::image::Picture;
use crate::error::{Error, Result};

impl Picture {
    /// Draws the outline of a quadrilateral, antialiased. `thickness` is in pixels; half of it lies on either side of the edges.
    /// What lies outside of the picture is left out, and nothing is drawn if a number is not finite.
    pub fn draw_quad(&mut self, quad: &Quad, thickness: f32, colour: [u8; 3]) {
        if !quad.as_flattened().iter().all(|v| v.is_finite()) || !thickness.is_finite() {
            return;
        }
        let reach = thickness / 2.0 + 0.5;
        // A cast holds what is negative at 0 and what is large at the type's end.
        let range = |axis: usize, size: u32| {
            let low = quad.iter().map(|p| p[axis]).fold(f32::INFINITY, f32::min) - reach;
            let high = quad.iter().map(|p| p[axis]).fold(f32::NEG_INFINITY, f32::max) + reach;
            if high < 0.0 { 0..0 } else { low.floor() as u32..(high.ceil() as u32).saturating_add(1).min(size) }
        };
        let (columns, rows) = (range(0, self.width()), range(1, self.height()));
        let stride = self.width() as usize * 3;
        for y in rows {
            let row = &mut self.rgb_mut()[y as usize * stride..][..stride];
            for x in columns.clone() {
                let edges = (0..4).map(|i| distance([x as f32, y as f32], quad[i], quad[(i + 1) % 4]));
                let covered = (reach - edges.fold(f32::INFINITY, f32::min)).clamp(0.0, 1.0);
                blend(&mut row[x as usize * 3..][..3], colour, covered);
            }
        }
    }

    /// Lays one colour over the picture, by a mask `[height, width]` of any size: 0 leaves a pixel, 1 gives it `opacity` of the
    /// colour. The mask is stretched over the picture, bilinearly.
    ///
    /// # Errors
    /// [`Error::Shape`] if the mask has not `width * height` values, or none.
    pub fn blend_mask(&mut self, mask: &[f32], [width, height]: [usize; 2], colour: [u8; 3], opacity: f32) -> Result<()> {
        self.blend_with(mask, [width, height], |value| (colour, value.clamp(0.0, 1.0) * opacity))
    }

    /// Lays a map `[height, width]` of any size over the picture, with `opacity` everywhere and colours of [`heat`]: values at
    /// `range[0]` and below are dark, those at `range[1]` and above are bright. The map is stretched over the picture,
    /// bilinearly.
    ///
    /// # Errors
    /// [`Error::Shape`] if the map has not `width * height` values, or none.
    pub fn blend_heat(&mut self, map: &[f32], [width, height]: [usize; 2], range: [f32; 2], opacity: f32) -> Result<()> {
        let colours: Vec<[u8; 3]> = (0..256).map(|i| heat(i as f32 / 255.0)).collect();
        let scale = 255.0 / (range[1] - range[0]).max(f32::MIN_POSITIVE);
        // The cast takes NaN to 0 and clamps below; `min` clamps above.
        let colour = |value: f32| colours[(((value - range[0]) * scale).round() as usize).min(255)];
        self.blend_with(map, [width, height], |value| (colour(value), opacity))
    }

    fn blend_with(&mut self, map: &[f32], [width, height]: [usize; 2], ink: impl Fn(f32) -> ([u8; 3], f32)) -> Result<()> {
        if map.is_empty() || width.checked_mul(height) != Some(map.len()) {
            return Err(Error::shape("overlay", format!("a map of {width} x {height} with {} values", map.len())));
        }
        let (columns, rows) = (self.width() as usize, self.height() as usize);
        let place = |i: usize, new: usize, old: usize| (i as f64 + 0.5) * old as f64 / new as f64 - 0.5;
        for (y, row) in self.rgb_mut().chunks_exact_mut(columns * 3).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let taps = bilinear(place(x, columns, width), place(y, rows, height), width, height);
                // What weighs nothing must not spread NaN or infinity.
                let (colour, opacity) = ink(taps.iter().filter(|tap| tap.1 > 0.0).map(|&(i, weight)| map[i] * weight).sum());
                blend(pixel, colour, opacity.clamp(0.0, 1.0));
            }
        }
        Ok(())
    }
}

/// A colour for a value of 0..=1, from nearly black over violet and red to bright yellow. Perceived lightness grows evenly, so
/// that the map reads in grey and with any colour vision.
///
/// In Oklab's cylinder: lightness L = 0.15 + 0.80 t; hue from 290 degrees over 360 to 465 (which is 105); chroma
/// 0.08 + 0.06 t + 0.055 sin(pi t), which keeps every colour inside sRGB.
pub fn heat(value: f32) -> [u8; 3] {
    let t = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
    let lightness = 0.15 + 0.80 * t;
    let chroma = 0.08 + 0.06 * t + 0.055 * (std::f32::consts::PI * t).sin();
    let hue = (290.0 + 175.0 * t).to_radians();
    oklab_to_srgb([lightness, chroma * hue.cos(), chroma * hue.sin()])
}

/// Björn Ottosson's Oklab (2020) to sRGB bytes. What lies outside of the gamut is clamped.
fn oklab_to_srgb([l, a, b]: [f32; 3]) -> [u8; 3] {
    let cone = [
        l + 0.396_337_78 * a + 0.215_803_76 * b,
        l - 0.105_561_346 * a - 0.063_854_17 * b,
        l - 0.089_484_18 * a - 1.291_485_5 * b,
    ]
    .map(|c| c * c * c);
    let linear = [
        [4.076_741_7, -3.307_711_6, 0.230_969_94],
        [-1.268_438, 2.609_757_4, -0.341_319_4],
        [-0.004_196_086, -0.703_418_6, 1.707_614_7],
    ];
    linear.map(|row| {
        let v: f32 = row.iter().zip(cone).map(|(m, c)| m * c).sum();
        let encoded = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round() as u8
    })
}

/// The distance of a point from a segment.
fn distance(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let square = along[0] * along[0] + along[1] * along[1];
    let t = if square > 0.0 { ((to[0] * along[0] + to[1] * along[1]) / square).clamp(0.0, 1.0) } else { 0.0 };
    (to[0] - t * along[0]).hypot(to[1] - t * along[1])
}

fn blend(pixel: &mut [u8], colour: [u8; 3], opacity: f32) {
    for (byte, over) in pixel.iter_mut().zip(colour) {
        *byte = (f32::from(*byte) + (f32::from(over) - f32::from(*byte)) * opacity).round() as u8;
    }
}
