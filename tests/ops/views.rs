//! Views: copies that only move elements.

use wavelane::ops::View;
use wavelane::ops::view::{Axis, Border};

use crate::harness::{Case, check, check_with, input};

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, order) in [(&[3, 5][..], &[1, 0][..]), (&[2, 3, 5, 7], &[3, 0, 2, 1]), (&[1, 65, 1, 67], &[3, 2, 1, 0])] {
        cases.push(Case::new(format!("{order:?} of {shape:?}"), View::transpose(shape, order), vec![input(shape, 1)]));
    }
    for border in [Border::Float(0.5), Border::Edge, Border::Wrap, Border::Reflect] {
        let mut view = View { border, ..View::of(&[3, 5]) };
        for (axis, (len, start, step)) in view.axes.iter_mut().zip([(10, -4, 1), (9, 12, -2)]) {
            *axis = Axis { len, start, step, ..*axis };
        }
        cases.push(Case::new(format!("{border:?}"), view, vec![input(&[3, 5], 2)]));
    }
    // Overlapping frames: two dimensions of the output walk along one of the input.
    let hop = Axis { len: 5, start: 0, step: 1, extent: 5, stride: 3 };
    let within = Axis { len: 8, start: 0, step: 1, extent: 8, stride: 1 };
    cases.push(Case::new("frames", View { axes: vec![hop, within], border: Border::None }, vec![input(&[20], 3)]));
    let expanded = Axis { len: 4, start: 0, step: 0, extent: 1, stride: 1 };
    let row = View::of(&[7]).axes[0];
    cases.push(Case::new("expand", View { axes: vec![expanded, row], border: Border::None }, vec![input(&[7], 4)]));
    cases.push(Case::new("one element", View::of(&[1]), vec![input(&[1], 5)]));
    cases
}

#[test]
fn views_match_the_reference() {
    check(&cases());
    check_with(&cases(), |c| c.max_grid = 1);
}
