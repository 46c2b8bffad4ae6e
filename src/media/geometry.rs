//! Cutting, turning and framing a [`Picture`].

use image::imageops;

use super::image::{Picture, check_size};
use super::resize::Filter;
use crate::error::{Error, Result};

/// A point in pixels, `[x, y]`. Whole numbers are the centres of pixels, and y points down.
pub type Point = [f32; 2];

/// Four corners in order around a quadrilateral; for text: top left, top right, bottom right, bottom left of the line.
pub type Quad = [Point; 4];

/// A part of a picture in whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// The column of its left edge.
    pub x: u32,
    /// The row of its upper edge.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A turn by quarters, clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// By 90 degrees.
    Quarter,
    /// By 180 degrees.
    Half,
    /// By 270 degrees clockwise, which is 90 degrees counter-clockwise.
    ThreeQuarters,
}

impl Picture {
    /// A part of the picture.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is empty or not inside.
    pub fn crop(&self, part: Rect) -> Result<Picture> {
        let inside = |at: u32, size: u32, whole: u32| size > 0 && at.checked_add(size).is_some_and(|end| end <= whole);
        if !inside(part.x, part.width, self.width()) || !inside(part.y, part.height, self.height()) {
            return Err(Error::shape("crop", format!("{part:?} of {} x {} pixels", self.width(), self.height())));
        }
        let columns = part.x as usize * 3..(part.x + part.width) as usize * 3;
        let rows = self.rows().skip(part.y as usize).take(part.height as usize);
        Picture::new(part.width, part.height, rows.flat_map(|row| &row[columns.clone()]).copied().collect())
    }

    /// The middle of the picture. Where the margin is odd, the upper or left one is the even half of it, as in torchvision.
    ///
    /// # Errors
    /// [`Error::Shape`] if the picture is smaller.
    pub fn center_crop(&self, width: u32, height: u32) -> Result<Picture> {
        let margin = |whole: u32, size: u32| (f64::from(whole.saturating_sub(size)) / 2.0).round_ties_even() as u32;
        self.crop(Rect { x: margin(self.width(), width), y: margin(self.height(), height), width, height })
    }

    /// The picture with its upper left corner at `(x, y)` of a larger one, the rest in one colour.
    ///
    /// # Errors
    /// [`Error::Shape`] if it does not fit in, or for more than [`MAX_PIXELS`](super::image::MAX_PIXELS).
    pub fn pad(&self, width: u32, height: u32, x: u32, y: u32, colour: [u8; 3]) -> Result<Picture> {
        let fits = |at: u32, size: u32, whole: u32| at.checked_add(size).is_some_and(|end| end <= whole);
        if !fits(x, self.width(), width) || !fits(y, self.height(), height) {
            let size = format!("{} x {} pixels at ({x}, {y})", self.width(), self.height());
            return Err(Error::shape("pad", format!("{size} into {width} x {height}")));
        }
        let mut padded = Picture::filled(width, height, colour)?;
        let (stride, left) = (width as usize * 3, x as usize * 3);
        let below = padded.rgb_mut().chunks_exact_mut(stride).skip(y as usize);
        for (to, from) in below.zip(self.rows()) {
            to[left..left + from.len()].copy_from_slice(from);
        }
        Ok(padded)
    }

    /// The picture resized to fit into `width` x `height` with its proportions kept, centred, the rest in one colour. Also says
    /// where it lies.
    ///
    /// # Errors
    /// Those of [`Picture::resize`].
    pub fn letterbox(&self, width: u32, height: u32, filter: Filter, colour: [u8; 3]) -> Result<(Picture, Rect)> {
        check_size("letterbox", width, height)?;
        let (w, h) = fit_inside(self.width(), self.height(), width, height);
        let place = Rect { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h };
        Ok((self.resize(w, h, filter)?.pad(width, height, place.x, place.y, colour)?, place))
    }

    /// The picture turned by quarters.
    pub fn turn(&self, turn: Turn) -> Picture {
        Picture::of(match turn {
            Turn::Quarter => imageops::rotate90(self.pixels()),
            Turn::Half => imageops::rotate180(self.pixels()),
            Turn::ThreeQuarters => imageops::rotate270(self.pixels()),
        })
    }

    /// A convex quadrilateral pulled straight: corner 0 comes to the upper left, 1 to the upper right, 2 to the lower right.
    ///
    /// The result is as wide as the longer of the edges 01 and 32 and as high as the longer of 03 and 12, rounded down. Its pixel
    /// (u, v) is read, bilinearly, at the image of (u, v) under the projective map that takes (0, 0), (width, 0), (width, height)
    /// and (0, height) to the corners. Beyond the picture its edge pixels go on.
    ///
    /// # Errors
    /// [`Error::Shape`] if a corner is not finite, if the quadrilateral is not strictly convex, or if the result has no pixels or
    /// more than [`MAX_PIXELS`](super::image::MAX_PIXELS).
    pub fn crop_quad(&self, quad: &Quad) -> Result<Picture> {
        let [p0, p1, p2, p3] = quad.map(|p| p.map(f64::from));
        let length = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let width = length(p0, p1).max(length(p2, p3)) as u32;
        let height = length(p0, p3).max(length(p1, p2)) as u32;
        let Some(map) = Projection::new([p0, p1, p2, p3]) else {
            return Err(Error::shape("crop of a quadrilateral", format!("{quad:?} is not strictly convex")));
        };
        check_size("crop of a quadrilateral", width, height)?;
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        for v in 0..height {
            for u in 0..width {
                let [x, y] = map.apply(f64::from(u) / f64::from(width), f64::from(v) / f64::from(height));
                rgb.extend(self.sample(x, y));
            }
        }
        Picture::new(width, height, rgb)
    }

    /// The colour between the four pixels around a point, rounded.
    fn sample(&self, x: f64, y: f64) -> [u8; 3] {
        let taps = bilinear(x, y, self.width() as usize, self.height() as usize);
        [0, 1, 2].map(|c| taps.iter().map(|&(i, w)| f32::from(self.rgb()[i * 3 + c]) * w).sum::<f32>().round() as u8)
    }
}

/// The four cells of a `[height, width]` grid around a point, with their weights. Beyond the grid its edge goes on.
pub(super) fn bilinear(x: f64, y: f64, width: usize, height: usize) -> [(usize, f32); 4] {
    let along = |at: f64, size: usize| {
        let at = at.clamp(0.0, (size - 1) as f64);
        let low = at as usize;
        (low, (low + 1).min(size - 1), at.fract() as f32)
    };
    let ((left, right, fx), (top, bottom, fy)) = (along(x, width), along(y, height));
    [
        (top * width + left, (1.0 - fx) * (1.0 - fy)),
        (top * width + right, fx * (1.0 - fy)),
        (bottom * width + left, (1.0 - fx) * fy),
        (bottom * width + right, fx * fy),
    ]
}

/// The largest size with the proportions of `width` x `height` that fits into a box, rounded, at least one pixel a side.
pub(super) fn fit_inside(width: u32, height: u32, box_width: u32, box_height: u32) -> (u32, u32) {
    let ratio = (f64::from(box_width) / f64::from(width)).min(f64::from(box_height) / f64::from(height));
    let scaled = |side: u32, most: u32| ((f64::from(side) * ratio).round_ties_even() as u32).clamp(1, most);
    (scaled(width, box_width), scaled(height, box_height))
}

/// The projective map of the unit square onto a quadrilateral:
/// `x = (a u + b v + c) / (g u + h v + 1)`, `y = (d u + e v + f) / (g u + h v + 1)`.
struct Projection {
    x: [f64; 3],
    y: [f64; 3],
    w: [f64; 2],
}

impl Projection {
    /// `None` unless the corners are finite and strictly convex, in either direction. Then the denominator has no zero inside.
    fn new([p0, p1, p2, p3]: [[f64; 2]; 4]) -> Option<Self> {
        let minus = |a: [f64; 2], b: [f64; 2]| [a[0] - b[0], a[1] - b[1]];
        let cross = |a: [f64; 2], b: [f64; 2]| a[0] * b[1] - a[1] * b[0];
        let turn = |a, b, c| cross(minus(b, a), minus(c, b));
        let turns = [turn(p0, p1, p2), turn(p1, p2, p3), turn(p2, p3, p0), turn(p3, p0, p1)];
        let finite = turns.iter().all(|t| t.is_finite());
        if !finite || !(turns.iter().all(|&t| t > 0.0) || turns.iter().all(|&t| t < 0.0)) {
            return None;
        }
        // From the condition at (1, 1), with s = p0 - p1 + p2 - p3: g (p1 - p2) + h (p3 - p2) = s.
        let (to1, to3) = (minus(p1, p2), minus(p3, p2));
        let s = [p0[0] - p1[0] + p2[0] - p3[0], p0[1] - p1[1] + p2[1] - p3[1]];
        let area = cross(to1, to3);
        let (g, h) = (cross(s, to3) / area, cross(to1, s) / area);
        let row = |i: usize| [p1[i] - p0[i] + g * p1[i], p3[i] - p0[i] + h * p3[i], p0[i]];
        Some(Projection { x: row(0), y: row(1), w: [g, h] })
    }

    fn apply(&self, u: f64, v: f64) -> [f64; 2] {
        let w = self.w[0] * u + self.w[1] * v + 1.0;
        [&self.x, &self.y].map(|row| (row[0] * u + row[1] * v + row[2]) / w)
    }
}
