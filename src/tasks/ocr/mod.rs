//! Reading text in pictures: PP-OCR's detector, its classifier of upside-down lines and its recogniser, joined as in
//! RapidOCR 3.10.

mod characters;
mod outline;
mod rectangle;
pub mod regions;

pub use characters::{Characters, Reading};
pub use regions::{Region, Rules};

use std::path::Path;

use super::{run_one, unfit};
use crate::error::Result;
use crate::media::geometry::{Quad, Turn};
use crate::media::image::Picture;
use crate::media::preset::Preset;
use crate::media::resize::Filter;
use crate::onnx::Session;
use crate::session::Device;
use crate::tensor::Tensor;

/// The names of the models' files: detector, classifier, recogniser.
pub const FILES: [&str; 3] = ["PP-OCRv6_det_small.onnx", "ch_ppocr_mobile_v2.0_cls_mobile.onnx", "PP-OCRv6_rec_small.onnx"];

/// Lines that are classified and recognised at once.
const BATCH: usize = 6;
/// A line whose height is this many times its width stands on its side.
const UPRIGHT: f64 = 1.5;
/// The probability above which a line is taken to stand on its head.
const HEAD_DOWN: f32 = 0.9;
/// The least score of a text.
const LEAST_TEXT_SCORE: f32 = 0.5;
/// Sides of pictures are brought into this range.
const SIDES: [u32; 2] = [30, 2000];
/// Pictures wider than this many times their height get black rows above and below.
const WIDEST: u32 = 8;

/// A line of text in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its corners in pixels, beginning at the upper left; on the picture, whichever way the text stands.
    pub quad: Quad,
    /// How certain it is that there is text.
    pub box_score: f32,
    /// Whether it stands on its head.
    pub turned: bool,
    /// The text.
    pub text: String,
    /// How certain the text is.
    pub text_score: f32,
}

/// A reader of text.
pub struct Ocr {
    detector: Session,
    classifier: Session,
    recogniser: Session,
    characters: Characters,
    rules: Rules,
}

/// A picture as the detector takes it, and how to get back.
struct Prepared {
    picture: Picture,
    /// Columns and rows per column and row of the original.
    scale: [f32; 2],
    /// Rows added above.
    above: u32,
}

impl Ocr {
    /// Opens the models [`FILES`] of a folder.
    ///
    /// # Errors
    /// Those of [`Session::load`]; [`crate::Error::Unsupported`] for a recogniser without its list of characters.
    pub fn open(folder: &Path, device: &Device) -> Result<Self> {
        let [detector, classifier, recogniser] = FILES.map(|name| Session::load(&folder.join(name), device));
        Ocr::new(detector?, classifier?, recogniser?)
    }

    /// A reader of these models. The recogniser lists its characters in the metadata `character`.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for a recogniser without that.
    pub fn new(detector: Session, classifier: Session, recogniser: Session) -> Result<Self> {
        let list = recogniser.model().metadata.get("character");
        let characters = Characters::new(list.ok_or_else(|| unfit("text", "does not list its characters"))?);
        Ok(Ocr { detector, classifier, recogniser, characters, rules: Rules::default() })
    }

    /// The lines of text in a picture, in reading order. What is no text after all is left out.
    ///
    /// # Errors
    /// Those of the presets of [`crate::media`] and of [`Session::run`]; [`crate::Error::Unsupported`] for models with other results.
    pub fn read(&mut self, picture: &Picture) -> Result<Vec<Line>> {
        let prepared = Prepared::new(picture)?;
        let regions = self.find(&prepared.picture)?;
        let mut crops = regions.iter().map(|r| upright(&prepared.picture, &r.quad)).collect::<Result<Vec<_>>>()?;
        let turned = self.turn(&mut crops)?;
        let readings = self.recognise(&crops)?;
        let lines = regions.iter().zip(turned).zip(readings).map(|((region, turned), reading)| Line {
            quad: region.quad.map(|corner| prepared.back(corner, picture)),
            box_score: region.score,
            turned,
            text: reading.text,
            text_score: reading.score,
        });
        Ok(lines.filter(|line| line.text_score >= LEAST_TEXT_SCORE && !line.text.trim().is_empty()).collect())
    }

    fn find(&mut self, picture: &Picture) -> Result<Vec<Region>> {
        let batch = Preset::named("paddleocr-det")?.prepare(std::slice::from_ref(picture))?;
        let [_, _, rows, columns] = batch.shape;
        let map = run_one(&mut self.detector, &batch.shape, batch.data)?;
        if map.shape() != [1, 1, rows, columns] {
            return Err(unfit("text", format_args!("yields {:?} for {rows} x {columns} pixels", map.shape())));
        }
        regions::regions(map.as_f32()?, [columns, rows], [picture.width(), picture.height()], &self.rules)
    }

    /// Turns the lines that stand on their heads; says which.
    fn turn(&mut self, lines: &mut [Picture]) -> Result<Vec<bool>> {
        let mut turned = vec![false; lines.len()];
        for batch in by_aspect(lines).chunks(BATCH) {
            let results = prepare_and_run(&mut self.classifier, "paddleocr-cls", lines, batch)?;
            let [_, 2] = results.shape()[..] else {
                return Err(unfit("directions of text", format_args!("yields {:?}", results.shape())));
            };
            for (&i, p) in batch.iter().zip(results.as_f32()?.chunks_exact(2)) {
                if p[1] > p[0] && p[1] > HEAD_DOWN {
                    lines[i] = lines[i].turn(Turn::Half);
                    turned[i] = true;
                }
            }
        }
        Ok(turned)
    }

    fn recognise(&mut self, lines: &[Picture]) -> Result<Vec<Reading>> {
        let mut readings = vec![Reading { text: String::new(), score: 0.0 }; lines.len()];
        for batch in by_aspect(lines).chunks(BATCH) {
            let results = prepare_and_run(&mut self.recogniser, "paddleocr-rec", lines, batch)?;
            let [_, steps, classes] = results.shape()[..] else {
                return Err(unfit("text", format_args!("yields {:?}", results.shape())));
            };
            let each = (steps * classes).max(1);
            for (&i, probabilities) in batch.iter().zip(results.as_f32()?.chunks_exact(each)) {
                readings[i] = self.characters.read(probabilities, classes)?;
            }
        }
        Ok(readings)
    }
}

/// The results for the lines at the places `batch`, one row each.
fn prepare_and_run(session: &mut Session, preset: &str, lines: &[Picture], batch: &[usize]) -> Result<Tensor> {
    let pictures: Vec<Picture> = batch.iter().map(|i| lines[*i].clone()).collect();
    let input = Preset::named(preset)?.prepare(&pictures)?;
    let results = run_one(session, &input.shape, input.data)?;
    if results.shape().first() != Some(&batch.len()) {
        return Err(unfit("text", format_args!("yields {:?} for {} lines", results.shape(), batch.len())));
    }
    Ok(results)
}

/// The places of the lines, from the narrowest to the widest in proportion: those of a batch get the width of its widest.
fn by_aspect(lines: &[Picture]) -> Vec<usize> {
    let aspect = |i: &usize| f64::from(lines[*i].width()) / f64::from(lines[*i].height());
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| aspect(a).total_cmp(&aspect(b)));
    order
}

/// The part of a picture in `quad`, turned if it stands on its side.
fn upright(picture: &Picture, quad: &Quad) -> Result<Picture> {
    let crop = picture.crop_quad(quad)?;
    let stands = f64::from(crop.height()) >= UPRIGHT * f64::from(crop.width());
    Ok(if stands { crop.turn(Turn::ThreeQuarters) } else { crop })
}

impl Prepared {
    fn new(original: &Picture) -> Result<Self> {
        let [least, most] = SIDES;
        let mut picture = original.clone();
        let long = picture.width().max(picture.height());
        if long > most {
            picture = scaled(&picture, f64::from(most) / f64::from(long))?;
        }
        let short = picture.width().min(picture.height());
        if short < least {
            picture = scaled(&picture, f64::from(least) / f64::from(short))?;
        }
        let (width, height) = (picture.width(), picture.height());
        let scale = [(width, original.width()), (height, original.height())].map(|(new, old)| new as f32 / old as f32);
        let mut above = 0;
        if width > WIDEST * height || height <= least {
            above = (2 * (width / WIDEST).max(least)).abs_diff(height) / 2;
            picture = picture.pad(width, height + 2 * above, 0, above, [0; 3])?;
        }
        Ok(Prepared { picture, scale, above })
    }

    /// The place in the original of a point in the prepared picture.
    fn back(&self, [x, y]: [f32; 2], original: &Picture) -> [f32; 2] {
        let place = |v: f32, scale: f32, size: u32| (v / scale).round().clamp(0.0, size.saturating_sub(1) as f32);
        [place(x, self.scale[0], original.width()), place(y - self.above as f32, self.scale[1], original.height())]
    }
}

/// The picture with both sides times `ratio`, to the nearest multiples of 32.
fn scaled(picture: &Picture, ratio: f64) -> Result<Picture> {
    let side = |side: u32| ((f64::from(side) * ratio).floor() / 32.0).round_ties_even().max(1.0) as u32 * 32;
    picture.resize(side(picture.width()), side(picture.height()), Filter::Linear)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(width: u32, height: u32) -> (Prepared, Picture) {
        let picture = Picture::filled(width, height, [9; 3]).unwrap();
        (Prepared::new(&picture).unwrap(), picture)
    }

    #[test]
    fn pictures_are_brought_into_range_and_back() {
        let (p, _) = prepared(640, 360);
        assert_eq!((p.picture.width(), p.picture.height(), p.above), (640, 360, 0));
        let (p, original) = prepared(4000, 1000);
        assert_eq!((p.picture.width(), p.picture.height(), p.above), (1984, 512, 0));
        assert_eq!(p.back([992.0, 256.0], &original), [2000.0, 500.0]);
        // 900 x 60 is too wide: 2 * 112 rows are wanted, so 82 come on either side.
        let (p, original) = prepared(900, 60);
        assert_eq!((p.picture.height(), p.above), (224, 82));
        assert_eq!(p.back([450.0, 112.0], &original), [450.0, 30.0]);
        assert_eq!(p.back([0.0, 10.0], &original), [0.0, 0.0]);
        let (p, _) = prepared(20, 20);
        assert_eq!((p.picture.width(), p.picture.height(), p.above), (32, 32, 0));
    }

    #[test]
    fn lines_that_stand_are_laid_down() {
        let picture = Picture::filled(100, 100, [0; 3]).unwrap();
        let quad =
            |width: f32, height: f32| [[10.0, 10.0], [10.0 + width, 10.0], [10.0 + width, 10.0 + height], [10.0, 10.0 + height]];
        let size = |q: Quad| upright(&picture, &q).map(|p| (p.width(), p.height())).unwrap();
        assert_eq!((size(quad(20.0, 29.0)), size(quad(20.0, 30.0))), ((20, 29), (30, 20)));
    }
}
