//! Convolutions and what is made like them.

use wavelane::kernel::Expr;
use wavelane::kernel::expr::Function;
use wavelane::ops::{Col2Im, Conv, ConvTranspose, DeformColumns};
use wavelane::tensor::{Tensor, Weight};

use crate::harness::{Case, Operand, check, check_with, input};
use crate::random::Numbers;

/// A weight of numbers in [-1, 1).
fn dense(shape: &[usize], seed: u64) -> Operand {
    Operand::Weight(Weight::from_f32(shape, &Numbers::new(seed).units(shape.iter().product())).unwrap())
}

/// An input of integers in [-128, 128).
fn integers(shape: &[usize], seed: u64) -> Operand {
    let mut numbers = Numbers::new(seed);
    let values = (0..shape.iter().product()).map(|_| numbers.below(256) as i64 - 128).collect();
    Operand::Input(Tensor::i64(shape, values).unwrap())
}

/// `conv` with the same stride, padding before, padding after and dilation in all dimensions.
fn with(rank: usize, stride: usize, pads: (usize, usize), dilation: usize) -> Conv {
    let all = |n: usize| vec![n; rank];
    Conv { strides: all(stride), pads_begin: all(pads.0), pads_end: all(pads.1), dilations: all(dilation), ..Conv::plain(rank) }
}

fn case(conv: Conv, x: &[usize], weight: &[usize]) -> Case {
    Case::new(format!("{conv:?} of {x:?} by {weight:?}"), conv, vec![input(x, 1), dense(weight, 2)])
}

#[test]
fn convolutions_match_the_reference() {
    let mut cases = Vec::new();
    for (x, weight) in [
        (&[1, 1, 1][..], &[1, 1, 1][..]),
        (&[2, 3, 17], &[5, 3, 4]),
        (&[1, 1, 1, 1], &[1, 1, 1, 1]),
        (&[2, 3, 7, 13], &[5, 3, 3, 2]),
        (&[1, 17, 9, 9], &[33, 17, 3, 3]),
        (&[1, 2, 4, 5, 6], &[3, 2, 2, 3, 2]),
    ] {
        let rank = x.len() - 2;
        for conv in [with(rank, 1, (0, 0), 1), with(rank, 2, (1, 2), 1), with(rank, 3, (4, 4), 2)] {
            cases.push(case(conv, x, weight));
        }
    }
    let uneven =
        Conv { strides: vec![1, 2], pads_begin: vec![0, 3], pads_end: vec![2, 0], dilations: vec![3, 1], ..Conv::plain(2) };
    cases.push(case(uneven, &[1, 4, 11, 10], &[6, 4, 3, 4]));
    // Tiles of 8, 16, 32 and 64 filters and of 32, 64 and 128 outputs, whole and with one more; 16 taps at a time, of one channel or
    // of 16.
    for (x, weight) in [
        (&[1, 4, 8, 8][..], &[64, 4, 1, 1][..]),
        (&[2, 16, 4, 8], &[32, 16, 1, 1]),
        (&[2, 13, 5, 13], &[65, 13, 1, 1]),
        (&[1, 5, 11, 11], &[16, 5, 7, 5]),
        (&[1, 20, 10, 14], &[70, 20, 3, 3]),
        (&[1, 6, 3, 5, 7], &[20, 6, 2, 3, 3]),
        (&[2, 32, 9, 10], &[33, 32, 3, 2]),
        (&[1, 16, 3, 7, 7], &[17, 16, 2, 2, 3]),
        (&[1, 48, 12, 11], &[66, 48, 1, 1]),
        (&[1, 16, 12, 11], &[24, 16, 2, 2]),
        (&[2, 3, 37, 450], &[9, 3, 2, 3]),
    ] {
        let rank = x.len() - 2;
        cases.push(case(with(rank, 1, (0, 0), 1), x, weight));
        cases.push(case(with(rank, 2, (1, 1), 1), x, weight));
    }
    // Tiles of 8, 16, 24 and 32 filters by 32, 64 and 128 outputs where there are many of them, whole and with rests.
    for (x, filters) in [
        ([1, 5, 32, 32], 8),
        ([1, 8, 32, 33], 9),
        ([1, 6, 33, 31], 24),
        ([1, 4, 36, 36], 64),
        ([4, 7, 23, 23], 37),
        ([8, 5, 7, 7], 24),
        ([9, 4, 8, 8], 32),
        ([8, 3, 7, 9], 15),
        ([8, 9, 4, 8], 40),
        ([9, 5, 3, 5], 17),
    ] {
        cases.push(case(with(2, 1, (0, 0), 1), &x, &[filters, x[1], 1, 1]));
        cases.push(case(with(2, 1, (0, 1), 1), &x, &[filters, x[1], 2, 2]));
    }
    // Rows of 3 x 3 taps: segments of 64, 32, 16 and 8 outputs, one below another or beside it, whole, with one more and with less, with
    // and without a border.
    for (height, width) in [
        (2, 28),
        (7, 56),
        (4, 14),
        (9, 27),
        (13, 13),
        (5, 55),
        (11, 40),
        (7, 7),
        (8, 6),
        (6, 15),
        (15, 5),
        (3, 64),
        (2, 65),
        (5, 130),
        (3, 17),
        (9, 32),
        (2, 33),
    ] {
        for (pads, filters) in [((1, 1), 17), ((0, 0), 8), ((2, 0), 4)] {
            let size = [height + 2 - pads.0 - pads.1, width + 2 - pads.0 - pads.1];
            let conv = Conv { groups: 2, ..with(2, 1, pads, 1) };
            cases.push(case(conv, &[2, 8, size[0], size[1]], &[2 * filters, 4, 3, 3]));
        }
    }
    // Tiles of 2 x 2 outputs, 32 of them by 32 filters, 4 channels at a time: whole, and with rests.
    for (x, filters, groups, pads) in
        [([1, 16, 8, 16], 32, 1, (1, 1)), ([2, 34, 11, 13], 66, 2, (0, 1)), ([1, 19, 5, 26], 33, 1, (2, 0))]
    {
        cases.push(case(Conv { groups, ..with(2, 1, pads, 1) }, &x, &[filters, x[1] / groups, 3, 3]));
    }
    // One channel a group and 3 x 3 taps: every alignment of rows, and tiles of 8 x 8 or 8 x 4 outputs with rests.
    for (stride, pads) in [(1, (1, 1)), (1, (0, 0)), (2, (1, 1)), (2, (0, 1)), (2, (1, 0)), (1, (0, 2))] {
        for (height, width) in [(3, 3), (4, 8), (5, 12), (9, 16), (6, 17), (17, 9), (8, 24)] {
            let conv = Conv { groups: 3, ..with(2, stride, pads, 1) };
            cases.push(case(conv, &[2, 3, height, width], &[6, 1, 3, 3]));
        }
    }
    // One channel a group: strides above and below the kernel's width, runs of 8 and one more, two filters a channel.
    for (stride, width, filters) in [(1, 3, 1), (2, 3, 2), (3, 2, 1), (1, 7, 1), (2, 5, 1), (2, 1, 1)] {
        for columns in [1, 8, 19] {
            let conv = Conv { groups: 5, ..with(2, stride, (width / 2, width / 2), 1) };
            cases.push(case(conv, &[2, 5, 6, columns], &[5 * filters, 1, width, width]));
        }
    }
    cases.push(case(Conv { groups: 5, ..with(2, 1, (2, 2), 2) }, &[1, 5, 6, 9], &[5, 1, 3, 3]));
    for groups in [2, 4] {
        cases.push(case(Conv { groups, ..with(2, 1, (1, 1), 1) }, &[2, 8, 5, 6], &[12, 8 / groups, 3, 3]));
    }
    // Tiles in groups, of channels by 16 and of any number.
    for channels in [16, 5] {
        let conv = Conv { groups: 2, ..with(2, 2, (1, 2), 2) };
        cases.push(case(conv, &[2, 2 * channels, 13, 11], &[40, channels, 3, 3]));
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 7);
}

#[test]
fn integers_are_convolved_exactly() {
    let case = |conv: Conv, x: &[usize], weight: &[usize]| {
        Case::new(format!("{conv:?} of integers {x:?} by {weight:?}"), conv, vec![integers(x, 1), integers(weight, 2)])
    };
    check(&[
        case(with(2, 1, (1, 1), 1), &[1, 16, 9, 10], &[18, 16, 3, 3]),
        case(with(2, 1, (0, 0), 1), &[1, 16, 8, 8], &[16, 16, 1, 1]),
        case(Conv { groups: 6, ..with(2, 2, (1, 1), 1) }, &[1, 6, 9, 10], &[6, 1, 3, 3]),
        case(with(1, 1, (0, 0), 1), &[1, 1, 5], &[1, 1, 2]),
    ]);
}

#[test]
fn tails_take_bias_residual_and_activation() {
    let bias = Expr::sum(Expr::operand(0), Expr::operand(1));
    let block = Expr::call(Function::Silu, Expr::sum(bias.clone(), Expr::operand(2)));
    let mut cases = Vec::new();
    for (x, weight, groups) in [
        ([2, 3, 6, 7], [5, 3, 3, 3], 1),
        ([1, 4, 6, 7], [4, 1, 3, 3], 4),
        ([1, 16, 6, 7], [33, 16, 1, 1], 1),
        ([2, 9, 6, 8], [17, 9, 1, 1], 1),
    ] {
        let pads = if weight[2] == 3 { (1, 1) } else { (0, 0) };
        for tail in [bias.clone(), block.clone()] {
            let conv = Conv { groups, tail: tail.clone(), ..with(2, 1, pads, 1) };
            let mut case = case(conv, &x, &weight);
            case.operands.push(dense(&[weight[0], 1, 1], 3));
            if tail.operands() > 2 {
                case.operands.push(input(&[x[0], weight[0], x[2], x[3]], 4));
            }
            cases.push(case);
        }
    }
    check(&cases);
}

#[test]
fn transposed_convolutions_match_the_reference() {
    let mut cases = Vec::new();
    for (x, weight, groups) in [
        (&[1, 1, 1][..], &[1, 1, 1][..], 1),
        (&[2, 4, 7], &[4, 3, 4], 2),
        (&[1, 3, 5, 6], &[3, 5, 2, 2], 1),
        (&[2, 6, 4, 5], &[6, 2, 3, 4], 3),
        (&[1, 2, 2, 3, 4], &[2, 3, 2, 3, 2], 1),
    ] {
        let rank = x.len() - 2;
        let all = |n: usize| vec![n; rank];
        for (stride, pads, dilation, more) in [(1, (0, 0), 1, 0), (2, (0, 0), 1, 1), (3, (1, 0), 1, 2), (2, (0, 1), 3, 1)] {
            let conv = ConvTranspose {
                strides: all(stride),
                pads_begin: all(pads.0),
                pads_end: all(pads.1),
                dilations: all(dilation),
                output_padding: all(more),
                groups,
                ..ConvTranspose::plain(rank)
            };
            let operands = vec![input(x, 1), dense(weight, 2)];
            cases.push(Case::new(format!("{conv:?} of {x:?} by {weight:?}"), conv.clone(), operands.clone()));
            if rank == 2 {
                let tail = Expr::call(Function::Sigmoid, Expr::sum(Expr::operand(0), Expr::operand(1)));
                let operands = [operands, vec![dense(&[weight[1] * groups, 1, 1], 3)]].concat();
                cases.push(Case::new(format!("{conv:?} with a tail"), ConvTranspose { tail, ..conv }, operands));
            }
        }
    }
    // One input, of which everything that it reaches first is cut off.
    let cut = ConvTranspose { strides: vec![2], pads_begin: vec![2], ..ConvTranspose::plain(1) };
    cases.push(Case::new("cut", cut, vec![input(&[1, 1, 1], 1), dense(&[1, 1, 3], 2)]));
    check(&cases);
    check_with(&cases, |c| c.max_grid = 3);
}

#[test]
fn columns_become_images_again() {
    let case = |image: &[usize], block: &[usize], stride: usize, pad: usize, dilation: usize| {
        let all = |n: usize| vec![n; image.len()];
        let (strides, pads_begin, pads_end, dilations) = (all(stride), all(pad), all(pad / 2), all(dilation));
        let blocks = image.iter().zip(block).map(|(i, b)| (i + pad + pad / 2 - dilation * (b - 1) - 1) / stride + 1);
        let shape = [2, 3 * block.iter().product::<usize>(), blocks.product()];
        let op = Col2Im { image: image.into(), block: block.into(), strides, pads_begin, pads_end, dilations };
        Case::new(format!("{op:?}"), op, vec![input(&shape, 1)])
    };
    let cases = [
        case(&[1], &[1], 1, 0, 1),
        case(&[13], &[3], 2, 2, 1),
        case(&[5, 5], &[1, 5], 1, 0, 1),
        case(&[7, 6], &[3, 2], 1, 1, 2),
        case(&[6, 8], &[2, 2], 3, 0, 1),
        case(&[4, 5, 6], &[2, 1, 3], 1, 2, 1),
        case(&[3, 2, 3, 2], &[2, 2, 1, 2], 1, 0, 1),
    ];
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

#[test]
fn deformed_columns_match_the_reference() {
    let mut cases = Vec::new();
    for (x, kernel, stride, pad, dilation, groups) in
        [([1, 1, 1, 1], [1, 1], 1, 0, 1, 1), ([2, 4, 6, 7], [3, 3], 1, 1, 1, 2), ([1, 6, 9, 8], [2, 3], 2, 0, 2, 3)]
    {
        let pads = [pad, pad];
        let strides = [stride, stride];
        let op = DeformColumns { kernel, strides, pads_begin: pads, pads_end: pads, dilations: [dilation, dilation], groups };
        let out = |d: usize| (x[d + 2] + 2 * pad - dilation * (kernel[d] - 1) - 1) / stride + 1;
        let of = |channels: usize| [x[0], channels * groups * kernel[0] * kernel[1], out(0), out(1)];
        // Offsets on both sides of one place, and far outside.
        let mut offsets: Vec<f32> = Numbers::new(2).units(of(2).iter().product()).iter().map(|v| v * 3.0).collect();
        let far = [1e9, -1e9, f32::INFINITY, f32::NAN, -1.0, 1.0];
        offsets.iter_mut().step_by(7).zip(far.into_iter().cycle()).for_each(|(o, far)| *o = far);
        let operands = vec![input(&x, 1), Operand::Input(Tensor::f32(&of(2), offsets).unwrap())];
        cases.push(Case::new(format!("{op:?}"), op.clone(), operands.clone()));
        cases.push(Case::new(format!("{op:?} masked"), op, [operands, vec![input(&of(1), 3)]].concat()));
    }
    check(&cases);
    check_with(&cases, |c| c.max_grid = 2);
}

#[test]
fn what_is_no_number_stays_where_it_is_seen() {
    // The first channel of the second group is not finite, and tiles of the first group reach beyond their own channels.
    let mut numbers = Numbers::new(1).units(2 * 6 * 5 * 8);
    numbers[3 * 40..4 * 40].fill(f32::INFINITY);
    let mut cases = Vec::new();
    for (filters, kernel) in [(40, 1), (40, 2), (8, 3)] {
        let conv = Conv { groups: 2, ..Conv::plain(2) };
        let x = Operand::Input(Tensor::f32(&[2, 6, 5, 8], numbers.clone()).unwrap());
        let weight: Vec<f32> = Numbers::new(2).units(filters * 3 * kernel * kernel).iter().map(|w| w.abs() + 0.1).collect();
        let weight = Operand::Weight(Weight::from_f32(&[filters, 3, kernel, kernel], &weight).unwrap());
        cases.push(Case::new(format!("not finite, {filters} filters of {kernel}"), conv, vec![x, weight]));
    }
    check(&cases);
}
