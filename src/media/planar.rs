//! Between interleaved bytes and the planes of floats that networks read.

use super::image::{Picture, check_size};
use crate::error::{Error, Result};

/// Which colour is plane 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red: models that were trained behind OpenCV.
    Bgr,
}

impl ChannelOrder {
    /// The byte of a pixel that goes into each plane.
    pub(super) fn bytes(self) -> [usize; 3] {
        match self {
            ChannelOrder::Rgb => [0, 1, 2],
            ChannelOrder::Bgr => [2, 1, 0],
        }
    }
}

/// What a network reads for a byte: `(byte * scale - mean[c]) / std[c]`, where c is the plane, not the colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalize {
    /// Usually 1/255.
    pub scale: f32,
    /// Per plane, after scaling.
    pub mean: [f32; 3],
    /// Per plane, after scaling; not zero.
    pub std: [f32; 3],
    /// The order of the planes.
    pub order: ChannelOrder,
}

impl Normalize {
    /// Bytes to 0..1, in the order red, green, blue.
    pub const UNIT: Normalize = Normalize { scale: 1.0 / 255.0, mean: [0.0; 3], std: [1.0; 3], order: ChannelOrder::Rgb };

    /// The value of a byte in a plane.
    pub fn value(&self, byte: u8, plane: usize) -> f32 {
        (f32::from(byte) * self.scale - self.mean[plane]) / self.std[plane]
    }

    /// Writes a picture into planes `[3, height, width]` with its upper left corner at `(x, y)`; it must fit in.
    pub(super) fn write(&self, picture: &Picture, planes: &mut [f32], [width, height]: [usize; 2], [x, y]: [usize; 2]) {
        for (c, (plane, byte)) in planes.chunks_exact_mut(width * height).zip(self.order.bytes()).enumerate() {
            let table: [f32; 256] = std::array::from_fn(|b| self.value(b as u8, c));
            for (to, from) in plane.chunks_exact_mut(width).skip(y).zip(picture.rows()) {
                for (value, pixel) in to[x..].iter_mut().zip(from.chunks_exact(3)) {
                    *value = table[usize::from(pixel[byte])];
                }
            }
        }
    }
}

impl Picture {
    /// The picture as planes of floats, `[3, height, width]`.
    pub fn to_nchw(&self, normalize: &Normalize) -> Vec<f32> {
        let mut planes = vec![0.0; self.rgb().len()];
        normalize.write(self, &mut planes, [self.width() as usize, self.height() as usize], [0, 0]);
        planes
    }

    /// The reverse of [`Picture::to_nchw`]: planes `[3, height, width]` to bytes, rounded; what lies outside of 0..=255 is
    /// clamped, and NaN becomes 0.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of values does not fit the size, or the size is not allowed in a picture.
    pub fn from_nchw(planes: &[f32], width: u32, height: u32, normalize: &Normalize) -> Result<Picture> {
        let pixels = check_size("planes", width, height)?;
        if planes.len() != pixels * 3 {
            let what = format!("3 planes of {width} x {height} take {} values, not {}", pixels * 3, planes.len());
            return Err(Error::shape("planes", what));
        }
        let mut rgb = vec![0; planes.len()];
        for (c, (plane, byte)) in planes.chunks_exact(pixels).zip(normalize.order.bytes()).enumerate() {
            for (pixel, value) in rgb.chunks_exact_mut(3).zip(plane) {
                pixel[byte] = ((value * normalize.std[c] + normalize.mean[c]) / normalize.scale).round() as u8;
            }
        }
        Picture::new(width, height, rgb)
    }
}
