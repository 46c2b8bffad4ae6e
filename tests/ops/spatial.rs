//! Ops over images: pooling, resampling.

use wavelane::ops::Pool;
use wavelane::ops::pool::{IndexOrder, PoolAxis, PoolKind};
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, input};
use crate::random::Numbers;

/// Bytes, many of them equal.
fn bytes(shape: &[usize], seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    let n = shape.iter().product();
    Operand::Input(Tensor::i64(shape, (0..n).map(|_| numbers.below(16) as i64 * 17).collect()).unwrap())
}

fn kinds() -> Vec<PoolKind> {
    let max = [None, Some(IndexOrder::RowMajor), Some(IndexOrder::ColumnMajor)].map(|indices| PoolKind::Max { indices });
    let average = [true, false].map(|count_include_pad| PoolKind::Average { count_include_pad });
    [&max[..], &average, &[1, 2, 3].map(|p| PoolKind::Lp { p })].concat()
}

/// Windows of every kind: padded, overlapping, apart, dilated, beyond the padding, without elements.
fn windows(x: &[usize], cases: &mut Vec<Case>) {
    let plain = PoolAxis { windows: 1, kernel: 1, stride: 1, dilation: 1, begin: 0, end: 0 };
    let every: [fn(usize, PoolAxis) -> PoolAxis; 6] = [
        |_, plain| plain,
        |n, plain| PoolAxis { windows: n, kernel: 3, begin: 1, end: 1, ..plain },
        |n, plain| PoolAxis { windows: n.div_ceil(3), kernel: 2, stride: 3, ..plain },
        |n, _| PoolAxis { windows: n / 2 + 2, kernel: 3, stride: 2, dilation: 2, begin: 3, end: 2 },
        |n, plain| PoolAxis { kernel: n, ..plain },
        |n, plain| PoolAxis { windows: n + 4, kernel: 2, dilation: 3, begin: 5, end: 0, ..plain },
    ];
    for (i, axis) in every.into_iter().enumerate() {
        for kind in kinds() {
            let axes = x[2..].iter().map(|n| axis(*n, plain)).collect();
            cases.push(Case::new(format!("{kind:?} {i} {x:?}"), Pool { kind, axes }, vec![input(x, i as u64)]));
        }
    }
}

#[test]
fn pools_match_the_reference() {
    let mut cases = Vec::new();
    for x in [&[2, 3, 17][..], &[1, 2, 1, 7], &[3, 1, 13, 9], &[2, 1, 5, 4, 7]] {
        windows(x, &mut cases);
    }
    check(&cases);
    let folded: Vec<Case> = cases.into_iter().filter(|c| c.name.contains("13, 9")).collect();
    check_with(&folded, |c| c.max_grid = 2);
}

#[test]
fn maxima_are_exact_with_ties_and_without_numbers() {
    let axis = PoolAxis { windows: 9, kernel: 3, stride: 1, dilation: 1, begin: 1, end: 1 };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let hard = vec![nan, nan, -inf, nan, 0.0, -0.0, inf, -1.0, nan];
    let mut cases = Vec::new();
    for indices in [None, Some(IndexOrder::RowMajor), Some(IndexOrder::ColumnMajor)] {
        let kind = PoolKind::Max { indices };
        let op = Pool { kind, axes: vec![axis; 2] };
        cases.push(Case::new(format!("ties {indices:?}"), op, vec![bytes(&[2, 2, 9, 9], 1)]));
        let x = Tensor::f32(&[1, 1, 9], hard.clone()).unwrap();
        cases.push(Case::new(format!("hard {indices:?}"), Pool { kind, axes: vec![axis] }, vec![Operand::Input(x)]));
    }
    check(&cases);
}
