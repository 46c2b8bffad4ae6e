//! Choosing boxes that do not overlap much.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// What [`non_max_suppression`] keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suppression {
    /// The most boxes for each class of each image.
    pub max_per_class: usize,
    /// A box whose intersection with a chosen one, divided by their union, is greater than this is left out.
    pub iou: f32,
    /// A box whose score is not greater than this is left out.
    pub score: Option<f32>,
    /// Whether boxes are given as x and y of the centre, width, height; else as y, x, y, x of two opposite corners.
    pub center_point_box: bool,
}

/// For each image and class, boxes in the order of their scores, the lower index first among equals, without those that overlap
/// one that was chosen before: i64 `[n, 3]` of image, class and box, from `boxes` `[images, N, 4]` and `scores` `[images,
/// classes, N]`, both f32.
///
/// Scores that are NaN come last.
///
/// # Errors
/// [`Error::Shape`] when the operands are of other types or shapes.
pub fn non_max_suppression(boxes: &Tensor, scores: &Tensor, keep: &Suppression) -> Result<Tensor> {
    let ([images, n, 4], [of, classes, places]) = (boxes.shape(), scores.shape()) else { return refuse(boxes, scores) };
    let (images, n, classes) = (*images, *n, *classes);
    if (*of, *places) != (images, n) {
        return refuse(boxes, scores);
    }
    let (boxes, scores) = (boxes.as_f32()?, scores.as_f32()?);
    let mut chosen = Vec::new();
    for image in 0..images {
        let boxes: Vec<Corners> =
            boxes[image * n * 4..(image + 1) * n * 4].chunks_exact(4).map(|b| Corners::of(b, keep)).collect();
        for class in 0..classes {
            let row = (image * classes + class) * n;
            let kept = choose(&boxes, &scores[row..row + n], keep);
            chosen.extend(kept.into_iter().flat_map(|i| [image as i64, class as i64, i as i64]));
        }
    }
    Tensor::i64(&[chosen.len() / 3, 3], chosen)
}

fn refuse(boxes: &Tensor, scores: &Tensor) -> Result<Tensor> {
    let (boxes, scores) = (boxes.shape(), scores.shape());
    let what = format!("'boxes' {boxes:?} and 'scores' {scores:?}, expected [images, N, 4] and [images, classes, N]");
    Err(Error::shape("NonMaxSuppression", what))
}

/// The boxes of one class that stay, in order.
fn choose(boxes: &[Corners], scores: &[f32], keep: &Suppression) -> Vec<usize> {
    let above = |i: &usize| keep.score.is_none_or(|least| scores[*i] > least);
    let mut candidates: Vec<usize> = (0..boxes.len()).filter(above).collect();
    let key = |i: usize| if scores[i].is_nan() { f32::NEG_INFINITY } else { scores[i] };
    candidates.sort_by(|a, b| key(*b).total_cmp(&key(*a)));
    let mut chosen: Vec<usize> = Vec::new();
    for i in candidates {
        if chosen.len() >= keep.max_per_class {
            break;
        }
        if !chosen.iter().any(|c| boxes[i].overlap(&boxes[*c]) > keep.iou) {
            chosen.push(i);
        }
    }
    chosen
}

/// A box by its least and greatest coordinates.
struct Corners {
    low: [f32; 2],
    high: [f32; 2],
}

impl Corners {
    /// The box that four numbers stand for.
    fn of(numbers: &[f32], keep: &Suppression) -> Self {
        let [a, b] = [[numbers[0], numbers[1]], [numbers[2], numbers[3]]];
        if keep.center_point_box {
            let low = [a[0] - b[0] / 2.0, a[1] - b[1] / 2.0];
            return Corners { low, high: [a[0] + b[0] / 2.0, a[1] + b[1] / 2.0] };
        }
        Corners { low: [a[0].min(b[0]), a[1].min(b[1])], high: [a[0].max(b[0]), a[1].max(b[1])] }
    }

    fn area(&self) -> f32 {
        (self.high[0] - self.low[0]) * (self.high[1] - self.low[1])
    }

    /// The area of the intersection over that of the union; less than any threshold where they share no area.
    fn overlap(&self, other: &Corners) -> f32 {
        let side = |d: usize| self.high[d].min(other.high[d]) - self.low[d].max(other.low[d]);
        let shared = if side(0) > 0.0 && side(1) > 0.0 { side(0) * side(1) } else { 0.0 };
        let union = self.area() + other.area() - shared;
        if shared > 0.0 && union > 0.0 { shared / union } else { f32::NEG_INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of six boxes each: corners y, x, y, x.
    const BOXES: [f32; 48] = [
        4., 7., 5., 9., 5., 0., 11., 2., 3., 3., 9., 4., 3., 7., 5., 12., 1., 3., 5., 4., 5., 2., 9., 8., //
        4., 7., 5., 10., 6., 0., 10., 1., 0., 4., 2., 8., 2., 1., 8., 5., 6., 7., 10., 8., 7., 6., 9., 8.,
    ];

    /// Two classes for each image, in units of 1 / 32.
    const SCORES: [f32; 24] =
        [22., 13., 16., 20., 18., 23., 10., 8., 9., 15., 9., 7., 14., 6., 5., 17., 24., 3., 19., 12., 4., 21., 11., 1.];

    fn chosen(boxes: Vec<f32>, max_per_class: usize, iou: f32, score: f32, center_point_box: bool) -> Vec<[usize; 4]> {
        let boxes = Tensor::f32(&[2, 6, 4], boxes).unwrap();
        let scores = Tensor::f32(&[2, 2, 6], SCORES.map(|s| s / 32.0).to_vec()).unwrap();
        let keep = Suppression { max_per_class, iou, score: Some(score), center_point_box };
        let found = non_max_suppression(&boxes, &scores, &keep).unwrap();
        let mut rows: Vec<[usize; 4]> = Vec::new();
        for row in found.as_i64().unwrap().chunks_exact(3) {
            let place = rows.iter().filter(|r| r[..2] == [row[0] as usize, row[1] as usize]).count();
            rows.push([row[0] as usize, row[1] as usize, place, row[2] as usize]);
        }
        rows
    }

    /// Rows as [`chosen`] gives them: image, class, place in the order, box.
    fn expected(lists: [&[usize]; 4]) -> Vec<[usize; 4]> {
        let list = |(i, list): (usize, &[usize])| list.iter().enumerate().map(|(p, b)| [i / 2, i % 2, p, *b]).collect::<Vec<_>>();
        lists.into_iter().enumerate().flat_map(list).collect()
    }

    #[test]
    fn boxes_are_chosen_as_by_the_onnx_reference_evaluator() {
        let quarter = expected([&[5, 0, 3, 4, 2, 1], &[3, 0, 2, 4, 1, 5], &[4, 3, 0, 1, 2], &[3, 0, 1, 4, 2]]);
        assert_eq!(chosen(BOXES.to_vec(), 6, 0.25, 0.0, false), quarter);
        assert_eq!(chosen(BOXES.to_vec(), 2, 0.125, 0.125, false), expected([&[5, 0], &[3, 2], &[4, 3], &[3, 0]]));
        // 16 / 32 is not greater than 0.5.
        assert_eq!(chosen(BOXES.to_vec(), 6, 1.0, 0.5, false), expected([&[5, 0, 3, 4], &[], &[4, 3], &[3, 0]]));
        let apart = expected([&[5, 0, 4, 1], &[3, 2, 1], &[4, 3, 0, 1, 2], &[3, 0, 1, 4, 2]]);
        assert_eq!(chosen(BOXES.to_vec(), 6, 0.0, 0.0, false), apart);
        assert_eq!(chosen(BOXES.to_vec(), 0, 0.0, 0.0, false), expected([&[]; 4]));

        let flipped = BOXES.chunks(4).flat_map(|b| [b[2], b[1], b[0], b[3]]).collect();
        assert_eq!(chosen(flipped, 6, 0.25, 0.0, false), quarter);
        let centred = BOXES.chunks(4).flat_map(|b| [(b[1] + b[3]) / 2.0, (b[0] + b[2]) / 2.0, b[3] - b[1], b[2] - b[0]]);
        assert_eq!(chosen(centred.collect(), 6, 0.25, 0.0, true), quarter);
    }

    #[test]
    fn shapes_that_do_not_go_together_are_refused() {
        let keep = Suppression { max_per_class: 1, iou: 0.5, score: None, center_point_box: false };
        let zeros = |shape: &[usize]| Tensor::f32(shape, vec![0.0; shape.iter().product()]).unwrap();
        for (boxes, scores) in [([1, 2, 5], [1, 1, 2]), ([1, 2, 4], [2, 1, 2]), ([1, 2, 4], [1, 1, 3])] {
            assert!(non_max_suppression(&zeros(&boxes), &zeros(&scores), &keep).is_err());
        }
        let nothing = non_max_suppression(&zeros(&[1, 0, 4]), &zeros(&[1, 3, 0]), &keep).unwrap();
        assert_eq!(nothing.shape(), [0, 3]);
    }
}
