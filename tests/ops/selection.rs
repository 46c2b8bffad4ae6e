//! Argmax and top-k: exact, whatever the order of work.

use wavelane::ops::{ArgMax, TopK};
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check};
use crate::random::Numbers;

/// Rows with ties, zeros of both signs, infinities and NaN.
fn awkward(rows: usize, columns: usize) -> Operand {
    let mut numbers = Numbers::new((rows * 1000 + columns) as u64);
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-42, 0.25];
    let mut value = || match numbers.below(10) {
        0..4 => special[numbers.below(7) as usize],
        4..7 => (numbers.below(9) as f32 - 4.0) * 0.5,
        _ => numbers.unit(),
    };
    let values = (0..rows * columns).map(|_| value()).collect();
    Operand::Input(Tensor::f32(&[rows, columns], values).unwrap())
}

#[test]
fn the_largest_is_the_first_of_equals() {
    let mut cases = Vec::new();
    for (r, n) in [(1, 1), (1, 2), (4, 7), (3, 64), (2, 65), (1, 4099), (2, 49152)] {
        cases.push(Case::new(format!("argmax [{r}, {n}]"), ArgMax, vec![awkward(r, n)]));
    }
    let nans = Operand::Input(Tensor::f32(&[1, 70], vec![f32::NAN; 70]).unwrap());
    cases.push(Case::new("argmax of NaN", ArgMax, vec![nans]));
    check(&cases);
}

#[test]
fn the_k_largest_come_in_order() {
    let mut cases = Vec::new();
    for (r, n, k) in [(1, 1, 1), (2, 7, 3), (3, 64, 64), (2, 65, 5), (1, 300, 257), (1, 5000, 1024), (1, 49152, 40), (2, 100, 1)]
    {
        cases.push(Case::new(format!("top {k} of [{r}, {n}]"), TopK { k }, vec![awkward(r, n)]));
    }
    // All equal: the lowest indices win.
    let equal = Operand::Input(Tensor::f32(&[1, 200], vec![2.5; 200]).unwrap());
    cases.push(Case::new("top 9 of equals", TopK { k: 9 }, vec![equal]));
    check(&cases);
}
