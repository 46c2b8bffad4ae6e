//! From a map of probabilities to quadrilaterals around lines of text: differentiable binarization (Liao et al. 2020), with the
//! numbers of RapidOCR 3.10.

use super::outline::Mask;
use super::rectangle::{Rectangle, in_order, mean_inside};
use crate::error::{Error, Result};
use crate::media::geometry::Quad;

/// What counts as a line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The probability above which a pixel may belong to text.
    pub threshold: f32,
    /// The least mean probability of a region.
    pub least_score: f32,
    /// How far regions grow, as a factor of area / perimeter: the model is taught the middles of lines.
    pub unclip: f64,
    /// The shorter side in pixels of the map that a region has at least; two more after it has grown.
    pub least_side: f64,
    /// Regions that are looked at.
    pub most: usize,
}

impl Default for Rules {
    /// Probability 0.3, score 0.5, growth 1.6, 3 pixels, 1000 regions.
    fn default() -> Self {
        Rules { threshold: 0.3, least_score: 0.5, unclip: 1.6, least_side: 3.0, most: 1000 }
    }
}

/// A place with text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Corners in whole pixels of the picture: upper left, upper right, lower right, lower left.
    pub quad: Quad,
    /// The mean probability of its pixels.
    pub score: f32,
}

/// The regions of a map `[height, width]` that belongs to a picture of `columns` x `rows` pixels, in reading order.
///
/// # Errors
/// [`Error::Shape`] when there are not `width * height` probabilities.
pub fn regions(map: &[f32], [width, height]: [usize; 2], [columns, rows]: [u32; 2], rules: &Rules) -> Result<Vec<Region>> {
    if width == 0 || width.checked_mul(height) != Some(map.len()) {
        return Err(Error::shape("regions", format!("a map of {width} x {height} with {} values", map.len())));
    }
    let scale = [f64::from(columns) / width as f64, f64::from(rows) / height as f64];
    let limits = [columns, rows].map(f64::from);
    let mask = Mask::above(rules.threshold, map, [width, height]).dilated();
    let mut found = Vec::new();
    for outline in mask.outlines(rules.most) {
        let Some(rectangle) = Rectangle::smallest(&outline).filter(|r| r.short_side() >= rules.least_side) else { continue };
        let score = mean_inside(map, [width, height], &rectangle.corners().map(|corner| corner.map(|v| v as i32)));
        let grown = rectangle.unclipped(rules.unclip);
        if score < rules.least_score || grown.short_side() < rules.least_side + 2.0 {
            continue;
        }
        // In whole pixels of the picture, inside of it.
        let place = |v: f64, axis: usize| (v * scale[axis]).round_ties_even().clamp(0.0, limits[axis]).min(limits[axis] - 1.0);
        let quad = in_order(grown.corners().map(|[x, y]| [place(x, 0) as f32, place(y, 1) as f32]));
        let side = |a: usize, b: usize| (quad[a][0] - quad[b][0]).hypot(quad[a][1] - quad[b][1]) as u32;
        if side(0, 1) > 3 && side(0, 3) > 3 {
            found.push(Region { quad, score });
        }
    }
    sort(&mut found);
    Ok(found)
}

/// The step down to the next region's corner, in pixels, from which on it is on a line of its own.
const LINE_STEP: f32 = 10.0;

/// Reading order: lines from above, and within a line from the left.
fn sort(regions: &mut [Region]) {
    let corner = |r: &Region, axis: usize| r.quad[0][axis];
    regions.sort_by(|a, b| corner(a, 1).total_cmp(&corner(b, 1)));
    regions
        .chunk_by_mut(|a, b| corner(b, 1) - corner(a, 1) < LINE_STEP)
        .for_each(|line| line.sort_by(|a, b| corner(a, 0).total_cmp(&corner(b, 0))));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map with rectangles of one probability each: left, top, width, height.
    fn map(size: [usize; 2], parts: &[([usize; 4], f32)]) -> Vec<f32> {
        let mut map = vec![0.01; size[0] * size[1]];
        for ([left, top, width, height], p) in parts {
            for y in *top..top + height {
                map[y * size[0] + left..][..*width].fill(*p);
            }
        }
        map
    }

    #[test]
    fn rectangles_are_found_grown_and_put_in_order() {
        let size = [200, 100];
        // Two on a line, the right one a little higher; one below; one too faint; one too small.
        let parts = [
            ([20, 44, 40, 9], 0.9),
            ([100, 40, 60, 9], 0.8),
            ([30, 80, 50, 9], 0.7),
            ([100, 80, 50, 9], 0.4),
            ([180, 10, 2, 2], 0.9),
        ];
        let found = regions(&map(size, &parts), size, [400, 200], &Rules::default()).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        let left: Vec<f32> = found.iter().map(|r| r.quad[0][0]).collect();
        assert!(left[0] < left[1] && left[2] < left[1], "{left:?}");
        // The mask is a pixel larger to the right and below, so outlines reach from 20 to 60 and from 44 to 53.
        let distance = 40.0 * 9.0 * 1.6 / (2.0 * 49.0);
        let expected = [2.0 * (20.0 - distance), 2.0 * (44.0 - distance), 2.0 * (60.0 + distance), 2.0 * (53.0 + distance)];
        let [a, _, c, _] = found[0].quad;
        for (v, e) in [a[0], a[1], c[0], c[1]].iter().zip(expected) {
            assert!((f64::from(*v) - e).abs() <= 0.5, "{:?} {expected:?}", found[0]);
        }
        // The score counts the mask's added row and column of low probability.
        assert!((found[0].score - (0.9 * 360.0 + 0.01 * 50.0) / 410.0).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn maps_of_another_size_are_refused_and_empty_ones_are_empty() {
        assert!(regions(&[0.0; 5], [2, 3], [2, 3], &Rules::default()).is_err());
        assert!(regions(&[], [0, 0], [2, 3], &Rules::default()).is_err());
        assert_eq!(regions(&[f32::NAN; 6], [2, 3], [2, 3], &Rules::default()).unwrap(), []);
        // Everything is text.
        let found = regions(&[1.0; 800], [40, 20], [40, 20], &Rules::default()).unwrap();
        assert_eq!(found[0].quad, [[0.0, 0.0], [39.0, 0.0], [39.0, 19.0], [0.0, 19.0]]);
    }
}
