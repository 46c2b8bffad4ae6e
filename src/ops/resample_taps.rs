//! Which places of an axis go into each place of its resized form, and how much: what ONNX `Resize` means.
//!
//! Formulas: the ONNX operators Resize 10 to 19 and Upsample. Cubic convolution: Keys 1981, doi:10.1109/TASSP.1981.1163711.

use crate::error::{Error, Result};

/// Most taps of an axis, which are made on the host.
const MOST_TAPS: usize = 1 << 28;

/// How the elements around a point become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// The nearest.
    Nearest(Rounding),
    /// The two neighbours, by their distances.
    Linear,
    /// Four neighbours, by cubic convolution.
    Cubic {
        /// The slope at distance 1.
        a: f32,
    },
}

/// Which of two neighbours is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The nearer, of equally near ones the lower.
    PreferFloor,
    /// The nearer, of equally near ones the upper.
    PreferCeil,
    /// The lower.
    Floor,
    /// The upper.
    Ceil,
}

/// Which point of the input a place of the output stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coordinate {
    /// Places are pixels with centres at their halves.
    HalfPixel,
    /// The same, with the centres of both axes made to agree where the output's length was rounded.
    HalfPixelSymmetric,
    /// The same as `HalfPixel`; an output of one place takes the point -0.5.
    PytorchHalfPixel,
    /// The first and the last places agree.
    AlignCorners,
    /// The first places agree.
    Asymmetric,
    /// Centres at halves in the output, but not in the input.
    TfHalfPixelForNn,
    /// A part of the axis, of which the first and the last places agree; points beyond the axis stand for another number.
    TfCropAndResize {
        /// Where the part begins, as a share of the axis.
        start: f32,
        /// Where it ends.
        end: f32,
    },
}

/// For each place of the output `count` places of the input, in ascending order, and their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    /// Terms of each sum.
    pub count: usize,
    /// `[output * count]`: places of the input, -1 for a number that is no element of it.
    pub index: Vec<i64>,
    /// `[output * count]`.
    pub weight: Vec<f32>,
}

/// The taps that resize an axis from `input` to `output` places; `scale` is their ratio before rounding.
///
/// With `antialias` linear and cubic filters are stretched where the axis shrinks, so that every element counts; with
/// `exclude_outside` places beyond the axis, else the same as the nearest inside, get no weight.
///
/// # Errors
/// [`Error::Request`] when the scale is not a positive number that goes with the lengths, or needs too many taps.
pub fn taps(
    mode: Mode,
    coordinate: Coordinate,
    antialias: bool,
    exclude_outside: bool,
    scale: f64,
    input: usize,
    output: usize,
) -> Result<Taps> {
    let filter = Filter::new(mode, antialias, scale);
    // A stretched filter is a few times as long as the input part that goes into one place.
    let most = input.saturating_add(1).saturating_mul(4);
    if !(scale.is_finite() && scale > 0.0) || filter.reach > most || input == 0 {
        return Err(Error::Request(format!("an axis of {input} places cannot be resized to {output} by a scale of {scale}")));
    }
    if filter.count().checked_mul(output).is_none_or(|n| n > MOST_TAPS) {
        return Err(Error::Request(format!(
            "an axis of {input} places, resized to {output}, needs {} taps for each",
            filter.count()
        )));
    }
    let axis = Axis { input, output, scale };
    let mut taps = Taps { count: filter.count(), index: Vec::new(), weight: Vec::new() };
    for place in 0..output {
        let point = axis.point(coordinate, place as f64);
        let outside = matches!(coordinate, Coordinate::TfCropAndResize { .. }) && !(0.0..=(input - 1) as f64).contains(&point);
        if outside {
            taps.index.extend(std::iter::repeat_n(-1, taps.count));
            taps.weight.extend((0..taps.count).map(|t| if t == 0 { 1.0 } else { 0.0 }));
            continue;
        }
        let (first, mut weights) = filter.weights(point);
        let inside = |t: usize| (0..input as i64).contains(&(first + t as i64));
        if exclude_outside {
            weights.iter_mut().enumerate().filter(|(t, _)| !inside(*t)).for_each(|(_, w)| *w = 0.0);
            normalize(&mut weights);
        }
        taps.index.extend((0..taps.count).map(|t| (first + t as i64).clamp(0, input as i64 - 1)));
        taps.weight.extend(weights.into_iter().map(|w| w as f32));
    }
    Ok(taps)
}

/// Makes the sum 1, unless it is 0.
fn normalize(weights: &mut [f64]) {
    let sum: f64 = weights.iter().sum();
    if sum != 0.0 {
        weights.iter_mut().for_each(|w| *w /= sum);
    }
}

/// The axis that is resized.
struct Axis {
    input: usize,
    output: usize,
    scale: f64,
}

impl Axis {
    /// The point of the input for place `y` of the output.
    fn point(&self, coordinate: Coordinate, y: f64) -> f64 {
        let (input, output, scale) = (self.input as f64, self.output as f64, self.scale);
        // The output's length before it was rounded.
        let exact = scale * input;
        let half_pixel = (y + 0.5) / scale - 0.5;
        match coordinate {
            Coordinate::HalfPixel => half_pixel,
            Coordinate::HalfPixelSymmetric => input / 2.0 * (1.0 - output / exact) + half_pixel,
            Coordinate::PytorchHalfPixel if exact == 1.0 => -0.5,
            Coordinate::PytorchHalfPixel => half_pixel,
            Coordinate::AlignCorners if exact == 1.0 => 0.0,
            Coordinate::AlignCorners => y * (input - 1.0) / (exact - 1.0),
            Coordinate::Asymmetric => y / scale,
            Coordinate::TfHalfPixelForNn => (y + 0.5) / scale,
            Coordinate::TfCropAndResize { start, end } => {
                let (start, extent) = (f64::from(start), f64::from(end) - f64::from(start));
                let within = if exact == 1.0 { extent * (input - 1.0) / 2.0 } else { y * extent * (input - 1.0) / (exact - 1.0) };
                within + start * (input - 1.0)
            }
        }
    }
}

/// A filter around a point.
struct Filter {
    mode: Mode,
    /// By how much it is stretched: places are this much closer together than elements; at most 1.
    step: f64,
    /// Elements below the point that count, as many as above it.
    reach: usize,
    normalized: bool,
}

impl Filter {
    fn new(mode: Mode, antialias: bool, scale: f64) -> Self {
        let step = if antialias { scale.min(1.0) } else { 1.0 };
        let radius = match mode {
            Mode::Nearest(_) => return Filter { mode, step: 1.0, reach: 1, normalized: false },
            Mode::Linear => 1.0,
            Mode::Cubic { .. } => 2.0,
        };
        Filter { mode, step, reach: (radius / step).ceil() as usize, normalized: antialias }
    }

    fn count(&self) -> usize {
        if matches!(self.mode, Mode::Nearest(_)) { 1 } else { 2 * self.reach }
    }

    /// The first place around the point, and the weights from there on.
    fn weights(&self, point: f64) -> (i64, Vec<f64>) {
        // The element below the point; an element at the point counts as the one above it.
        let below = point.ceil() as i64 - 1;
        let ratio = if point.floor() == point { 1.0 } else { point - point.floor() };
        let weight: &dyn Fn(f64) -> f64 = match self.mode {
            Mode::Nearest(rounding) => {
                let upper = ratio == 1.0
                    || match rounding {
                        Rounding::PreferFloor => ratio > 0.5,
                        Rounding::PreferCeil => ratio >= 0.5,
                        Rounding::Floor => false,
                        Rounding::Ceil => true,
                    };
                return (below + i64::from(upper), vec![1.0]);
            }
            Mode::Linear => &|x| (1.0 - x).max(0.0),
            Mode::Cubic { a } => &move |x| cubic(x, f64::from(a)),
        };
        let first = 1 - self.reach as i64;
        let distance = |t: usize| ((first + t as i64) as f64 - ratio).abs() * self.step;
        let mut weights: Vec<f64> = (0..self.count()).map(|t| weight(distance(t))).collect();
        if self.normalized {
            normalize(&mut weights);
        }
        (below + first, weights)
    }
}

/// Keys' kernel at distance `x`.
pub(super) fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
