//! [`Picture`]: pixels in memory, read from and written to PNG, JPEG and WebP.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Rgb, RgbImage, RgbaImage,
};

use crate::error::{Error, Result};

/// The most pixels that a picture may have: 2^27, or 384 MiB of RGB. [`Picture::decode_within`] takes a lower limit.
pub const MAX_PIXELS: u64 = 1 << 27;

/// The largest picture file that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// Quality of JPEG files that are written, of 100.
const JPEG_QUALITY: u8 = 92;

/// A picture of at least one pixel: rows from the top, three bytes (red, green, blue) a pixel, sRGB as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pixels: RgbImage,
}

/// The file formats of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lossless.
    Png,
    /// Lossy, written with quality 92.
    Jpeg,
    /// Read lossy and lossless, written lossless. Of an animation the first frame counts.
    WebP,
}

impl Format {
    /// The format that a file name asks for by its extension: `png`, `jpg`, `jpeg` or `webp` in any case.
    ///
    /// # Errors
    /// [`Error::Request`] for every other name.
    pub fn of_path(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "png" => Ok(Format::Png),
            "jpg" | "jpeg" => Ok(Format::Jpeg),
            "webp" => Ok(Format::WebP),
            _ => Err(Error::Request(format!("{}: a picture's name ends in .png, .jpg, .jpeg or .webp", path.display()))),
        }
    }

    /// The format that the first bytes of a file announce.
    fn of_bytes(bytes: &[u8]) -> Result<Self> {
        match image::guess_format(bytes) {
            Ok(ImageFormat::Png) => Ok(Format::Png),
            Ok(ImageFormat::Jpeg) => Ok(Format::Jpeg),
            Ok(ImageFormat::WebP) => Ok(Format::WebP),
            _ => Err(Error::format("picture at byte 0", "the signature is not that of PNG, JPEG or WebP")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::WebP => "WebP",
        }
    }
}

impl Picture {
    /// A picture from its pixels, `rgb` being `[height, width, 3]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a side is zero, if there are more than [`MAX_PIXELS`], or if `rgb` has another length.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self> {
        let bytes = check_size("picture", width, height)? * 3;
        let given = rgb.len();
        match RgbImage::from_raw(width, height, rgb) {
            Some(pixels) if given == bytes => Ok(Picture { pixels }),
            _ => Err(Error::shape("picture", format!("{width} x {height} pixels take {bytes} bytes, not {given}"))),
        }
    }

    /// A picture that the library made of a valid one: its sides are known to be allowed.
    pub(super) fn of(pixels: RgbImage) -> Self {
        Picture { pixels }
    }

    /// A picture of one colour.
    ///
    /// # Errors
    /// [`Error::Shape`] if a side is zero or if there are more than [`MAX_PIXELS`].
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Result<Self> {
        check_size("picture", width, height)?;
        Ok(Picture { pixels: RgbImage::from_pixel(width, height, Rgb(colour)) })
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// The bytes, `[height, width, 3]`.
    pub fn rgb(&self) -> &[u8] {
        self.pixels.as_raw()
    }

    /// The bytes to be changed in place, `[height, width, 3]`.
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    pub(super) fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// The rows from the top, `[width, 3]` each.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.rgb().chunks_exact(self.width() as usize * 3)
    }

    /// Reads the picture in a file; see [`Picture::decode`].
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`Picture::decode`]; [`Error::Unsupported`] for a file of more than 1 GiB.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(Error::Unsupported(format!("{}: a picture file of more than {MAX_FILE} bytes", path.display())));
        }
        Picture::decode(&bytes)
    }

    /// Decodes PNG, JPEG or WebP, whichever the first bytes announce, up to [`MAX_PIXELS`].
    ///
    /// The orientation noted by a camera is applied. Transparent pixels are laid over white, 16-bit samples are rounded to 8, and
    /// colour profiles are ignored.
    ///
    /// # Errors
    /// [`Error::Format`] for files that are malformed or cut off, [`Error::Unsupported`] for those above the limit or with
    /// features that the decoders lack.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Picture::decode_within(bytes, MAX_PIXELS)
    }

    /// [`Picture::decode`] with a limit of `max_pixels`, at most [`MAX_PIXELS`]. It is held against the header before pixels are
    /// allocated.
    ///
    /// # Errors
    /// As [`Picture::decode`].
    pub fn decode_within(bytes: &[u8], max_pixels: u64) -> Result<Self> {
        // A panic of the decoders is an error of the file: png 0.18.1 panics at a palette with a part of a colour, zune-jpeg 0.5.15
        // at sampling factors that do not fit.
        catch_unwind(AssertUnwindSafe(|| Picture::decoded(bytes, max_pixels.min(MAX_PIXELS))))
            .unwrap_or_else(|_| Err(Error::format("picture file", "the decoder failed on it")))
    }

    fn decoded(bytes: &[u8], max_pixels: u64) -> Result<Self> {
        let format = Format::of_bytes(bytes)?;
        let fail = |e| decoding_error(format, e);
        let reader = match format {
            Format::Png => ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png),
            Format::Jpeg => ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg),
            Format::WebP => ImageReader::with_format(Cursor::new(bytes), ImageFormat::WebP),
        };
        let mut decoder = bounded(reader, max_pixels).into_decoder().map_err(fail)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(Error::Unsupported(format!(
                "{} picture of {width} x {height} pixels; the limit is {max_pixels} pixels",
                format.name()
            )));
        }
        if format == Format::Jpeg && !jpeg_ends(bytes) {
            return Err(Error::format("JPEG picture", format!("no end of image within its {} bytes", bytes.len())));
        }
        let orientation = decoder.orientation().map_err(fail)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(fail)?;
        image.apply_orientation(orientation);
        let (width, height) = (image.width(), image.height());
        let rgb = if image.color().has_alpha() { over_white(&image.into_rgba8()) } else { image.into_rgb8().into_raw() };
        Picture::new(width, height, rgb)
    }

    /// The bytes of a file in `format`.
    ///
    /// # Errors
    /// [`Error::Request`] if the picture is larger than the format allows (65535 a side for JPEG, 16383 for WebP).
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let (rgb, width, height, colour) = (self.rgb(), self.width(), self.height(), ExtendedColorType::Rgb8);
        match format {
            Format::Png => PngEncoder::new(&mut bytes).write_image(rgb, width, height, colour),
            Format::Jpeg => JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).write_image(rgb, width, height, colour),
            Format::WebP => WebPEncoder::new_lossless(&mut bytes).write_image(rgb, width, height, colour),
        }
        .map_err(|e| Error::Request(format!("a {width} x {height} picture as {}: {e}", format.name())))?;
        Ok(bytes)
    }

    /// Writes the picture in the format that the extension asks for; see [`Format::of_path`].
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`Format::of_path`] and [`Picture::encode`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.encode(Format::of_path(path)?)?;
        std::fs::write(path, bytes).map_err(|e| Error::io(path, e))
    }
}

/// The number of pixels, if both sides and it are allowed.
pub(super) fn check_size(place: &str, width: u32, height: u32) -> Result<usize> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(Error::shape(place, format!("{width} x {height} pixels; 1 to {MAX_PIXELS} are allowed")));
    }
    Ok(pixels as usize)
}

/// Bounds what the decoder may allocate: 8 bytes a pixel for 16-bit RGBA, twice since some keep a second copy, and 16 MiB for
/// tables and metadata.
fn bounded(mut reader: ImageReader<Cursor<&[u8]>>, max_pixels: u64) -> ImageReader<Cursor<&[u8]>> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(max_pixels * 16 + (16 << 20));
    reader.limits(limits);
    reader
}

fn decoding_error(format: Format, error: ImageError) -> Error {
    let place = format!("{} picture", format.name());
    match error {
        ImageError::Limits(e) => Error::Unsupported(format!("{place}: {e}")),
        ImageError::Unsupported(e) => Error::Unsupported(format!("{place}: {e}")),
        e => Error::format(place, e.to_string()),
    }
}

/// Whether the segments of a JPEG file lead to an end of image. The decoder fills in grey for what is missing; this crate does
/// not want a network to look at it.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(pair) = bytes.get(at..at + 2) {
        match *pair {
            [0xff, 0xd9] => return true,
            // Entropy-coded bytes, their stuffing, fill bytes, restarts and markers without a length.
            [0xff, 0x00 | 0x01 | 0xd0..=0xd8 | 0xff] => at += 1,
            [0xff, _] => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            _ => at += 1,
        }
    }
    false
}

/// Blends with white by each pixel's alpha, rounded.
fn over_white(image: &RgbaImage) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(image.len() / 4 * 3);
    for pixel in image.pixels() {
        let [r, g, b, alpha] = pixel.0.map(u32::from);
        rgb.extend([r, g, b].map(|c| ((c * alpha + 255 * (255 - alpha) + 127) / 255) as u8));
    }
    rgb
}
