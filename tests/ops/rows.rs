//! Ops over rows: norms, softmax, likelihoods, rotation, gathering.

use wavelane::ops::{GatherRows, Nll, Pairing, RmsNorm, Rope, Softmax, rope};
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, ids, input, vector};
use crate::random::Numbers;

const SHAPES: [(usize, usize); 8] = [(1, 1), (1, 2), (3, 31), (2, 64), (5, 65), (1, 257), (7, 576), (2, 4099)];

#[test]
fn norms_and_softmax_match_the_reference() {
    let mut cases = Vec::new();
    for (r, n) in SHAPES {
        let name = format!("[{r}, {n}]");
        cases.push(Case::new(format!("norm {name}"), RmsNorm { epsilon: 1e-5 }, vec![input(&[r, n], 1), vector(n, 2)]));
        cases.push(Case::new(format!("softmax {name}"), Softmax { log: false }, vec![input(&[r, n], 3)]));
        cases.push(Case::new(format!("log softmax {name}"), Softmax { log: true }, vec![input(&[r, n], 3)]));
        let targets: Vec<u32> = (0..r).map(|i| (i * 7 % n) as u32).collect();
        cases.push(Case::new(format!("nll {name}"), Nll, vec![input(&[r, n], 4), ids(&targets)]));
    }
    check(&cases);
    check_with(&cases[24..28], |c| c.max_grid = 2);
}

#[test]
fn rows_as_long_as_a_vocabulary_match_the_reference() {
    let row = |seed| {
        let logits = Numbers::new(seed).units(2 * 49152).iter().map(|v| v * 4.0).collect();
        Operand::Input(Tensor::f32(&[2, 49152], logits).unwrap())
    };
    check(&[Case::new("nll", Nll, vec![row(8), ids(&[49151, 7])]), Case::new("softmax", Softmax { log: false }, vec![row(9)])]);
}

#[test]
fn softmax_takes_rows_of_any_rank() {
    let mut cases = Vec::new();
    for (log, shape) in [false, true].into_iter().flat_map(|log| [&[1][..], &[65], &[2, 3, 1], &[3, 5, 33]].map(|s| (log, s))) {
        cases.push(Case::new(format!("log {log} {shape:?}"), Softmax { log }, vec![input(shape, 10)]));
    }
    check(&cases);
}

#[test]
fn softmax_survives_large_logits() {
    let rows = vec![1000.0, 999.0, -1000.0, 0.0, -3e38, 3e38, -3e38, -3e38];
    let x = Operand::Input(Tensor::f32(&[2, 4], rows).unwrap());
    let softmax = |log| Case::new(format!("softmax, log {log}"), Softmax { log }, vec![x.clone()]);
    check(&[softmax(false), softmax(true), Case::new("nll", Nll, vec![x, ids(&[1, 1])])]);
}

#[test]
fn rotation_matches_the_reference() {
    let mut cases = Vec::new();
    for pairing in [Pairing::Interleaved, Pairing::Halves] {
        for (head_dim, dim, heads) in [(2, 2, 1), (64, 64, 3), (80, 32, 2), (6, 4, 5)] {
            let frequencies: Vec<f64> = (0..dim / 2).map(|i| 10000f64.powf(-2.0 * i as f64 / dim as f64)).collect();
            let table = Operand::Weight(rope::table(&frequencies, 4096).unwrap());
            let positions = ids(&[0, 1, 63, 64, 65, 127, 4095]);
            let operands = vec![input(&[7, heads * head_dim], 5), positions, table];
            let op = Rope { head_dim, dim, pairing };
            cases.push(Case::new(format!("{op:?} x {heads}"), op, operands));
        }
    }
    check(&cases);
}

#[test]
fn the_rotary_table_gives_the_angle_of_every_position() {
    let frequencies = [1.0, 0.05, 1e-4];
    let table = rope::table(&frequencies, 1000).unwrap().to_f32().unwrap();
    for position in [0usize, 1, 63, 64, 100, 640, 999] {
        for (i, f) in frequencies.iter().enumerate() {
            let near = &table[(position % rope::STRIDE) * 6 + 2 * i..][..2];
            let far = &table[(rope::STRIDE + position / rope::STRIDE) * 6 + 2 * i..][..2];
            let (cos, sin) = (near[0] * far[0] - near[1] * far[1], near[1] * far[0] + near[0] * far[1]);
            let angle = position as f64 * f;
            approx::assert_abs_diff_eq!(f64::from(cos), angle.cos(), epsilon = 4e-7);
            approx::assert_abs_diff_eq!(f64::from(sin), angle.sin(), epsilon = 4e-7);
        }
    }
}

#[test]
fn gathered_rows_are_exact() {
    let mut cases = Vec::new();
    for (t, d) in [(1, 1), (5, 7), (9, 65)] {
        let rows: Vec<u32> = (0..4).map(|i| (i * 3 % t) as u32).collect();
        cases.push(Case::new(format!("gather [{t}, {d}]"), GatherRows, vec![input(&[t, d], 6), ids(&rows)]));
    }
    check(&cases);
}
