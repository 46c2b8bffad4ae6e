//! Changing the size of a [`Picture`], with the filters that networks were trained behind.

use image::imageops::{self, FilterType};

use super::image::{Picture, check_size};
use crate::error::Result;

/// How the pixels of a resized picture follow from the old ones. Pixel centres lie at halves: `(i + 0.5) * old / new`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle, widened when shrinking (antialiased), as Pillow and torchvision do it.
    Bilinear,
    /// Cubic convolution with a = -1/2, widened when shrinking, as Pillow does it.
    Bicubic,
    /// Sinc windowed to three lobes, widened when shrinking.
    Lanczos,
    /// Straight between the two nearest pixels, which skips pixels when shrinking: OpenCV's `INTER_LINEAR`.
    Linear,
    /// Mean over the area that a new pixel covers: OpenCV's `INTER_AREA`. If a side grows, that library's own rule for growing
    /// replaces it: constant inside an old pixel, linear where a new pixel crosses an edge.
    Area,
}

impl Picture {
    /// The picture in another size. All arithmetic is in floats; a byte is rounded once, at the end.
    ///
    /// # Errors
    /// [`Shape`](crate::Error::Shape) if a side is zero, or if the result or the picture between the two passes has more than
    /// [`MAX_PIXELS`](super::image::MAX_PIXELS).
    pub fn resize(&self, width: u32, height: u32, filter: Filter) -> Result<Picture> {
        check_size("resize", width, height)?;
        let library = match filter {
            Filter::Bilinear => FilterType::Triangle,
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Lanczos => FilterType::Lanczos3,
            Filter::Linear | Filter::Area => return self.resize_as_opencv(width, height, filter),
        };
        // The library resizes columns first.
        check_size("resize between the passes", self.width(), height)?;
        Ok(Picture::of(imageops::resize(self.pixels(), width, height, library)))
    }

    fn resize_as_opencv(&self, width: u32, height: u32, filter: Filter) -> Result<Picture> {
        check_size("resize between the passes", width, self.height())?;
        let grows = width > self.width() || height > self.height();
        let taps = |old, new| match (filter, grows) {
            (Filter::Area, false) => area(old, new),
            (Filter::Area, true) => area_growing(old, new),
            _ => linear(old, new),
        };
        let columns = taps(self.width(), width);
        let mut narrow = Vec::with_capacity(width as usize * self.height() as usize * 3);
        for row in self.rows() {
            for tap in &columns {
                narrow.extend(tap.sum(|i| [0, 1, 2].map(|c| f32::from(row[i * 3 + c]))));
            }
        }
        let stride = width as usize * 3;
        let mut rgb = Vec::with_capacity(stride * height as usize);
        for tap in taps(self.height(), height) {
            rgb.extend((0..stride).map(|x| tap.sum(|i| [narrow[i * stride + x]])[0].round_ties_even() as u8));
        }
        Picture::new(width, height, rgb)
    }
}

/// The old pixels that make a new one along one axis: `weights` of those from `start` on. They add up to one.
struct Tap {
    start: usize,
    weights: Vec<f32>,
}

impl Tap {
    /// The weighted sum of `at(i)`.
    fn sum<const N: usize>(&self, at: impl Fn(usize) -> [f32; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        for (i, &weight) in self.weights.iter().enumerate() {
            for (sum, value) in sums.iter_mut().zip(at(self.start + i)) {
                *sum += weight * value;
            }
        }
        sums
    }

    /// Between pixel `floor(at)` and the next, both held inside `0..size`.
    fn between(at: f64, size: u32) -> Tap {
        let at = at.clamp(0.0, f64::from(size - 1));
        let (start, part) = (at as usize, at.fract() as f32);
        if part == 0.0 { Tap { start, weights: vec![1.0] } } else { Tap { start, weights: vec![1.0 - part, part] } }
    }
}

fn linear(old: u32, new: u32) -> Vec<Tap> {
    let scale = f64::from(old) / f64::from(new);
    (0..new).map(|i| Tap::between((f64::from(i) + 0.5) * scale - 0.5, old)).collect()
}

/// For `new <= old`.
fn area(old: u32, new: u32) -> Vec<Tap> {
    let scale = f64::from(old) / f64::from(new);
    let tap = |i| {
        let (from, to) = (f64::from(i) * scale, (f64::from(i + 1) * scale).min(f64::from(old)));
        let covered = |p: u32| ((to.min(f64::from(p + 1)) - from.max(f64::from(p))) / (to - from)) as f32;
        let (start, end) = (from as u32, (to.ceil() as u32).min(old));
        Tap { start: start as usize, weights: (start..end).map(covered).collect() }
    };
    (0..new).map(tap).collect()
}

/// OpenCV's rule for `INTER_AREA` as soon as one side grows, for both sides: a new pixel starts inside old pixel `s`; it takes of
/// the next one the part by which it reaches over the edge.
fn area_growing(old: u32, new: u32) -> Vec<Tap> {
    let (scale, inverse) = (f64::from(old) / f64::from(new), f64::from(new) / f64::from(old));
    let tap = |i| {
        let start = (f64::from(i) * scale).floor();
        let over = f64::from(i + 1) - (start + 1.0) * inverse;
        Tap::between(start + if over <= 0.0 { 0.0 } else { over.fract() }, old)
    };
    (0..new).map(tap).collect()
}
