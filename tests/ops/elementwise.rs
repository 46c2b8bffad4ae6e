//! Elementwise expressions.

use wavelane::kernel::expr::Function;
use wavelane::ops::Elementwise;
use wavelane::tensor::Tensor;

use crate::harness::{Case, Operand, check, check_with, input};

#[test]
fn expressions_match_the_reference() {
    let ops = [Elementwise::add(), Elementwise::gated(Function::Silu), Elementwise::gated(Function::GeluTanh)];
    let mut cases = Vec::new();
    for op in ops {
        for shape in [&[1][..], &[63], &[65, 3], &[2, 7, 31]] {
            cases.push(Case::new(format!("{op:?} {shape:?}"), op.clone(), vec![input(shape, 1), input(shape, 2)]));
        }
    }
    check(&cases);
}

#[test]
fn gates_stay_finite_at_the_edges() {
    // Where e^x over- and underflows, and around zero.
    let edges = vec![-1e30, -200.0, -88.8, -20.0, -1e-20, -0.0, 0.0, 1e-20, 0.5, 11.0, 88.8, 200.0, 1e4];
    let n = edges.len();
    let gate = Operand::Input(Tensor::f32(&[n], edges).unwrap());
    let up = Operand::Input(Tensor::f32(&[n], vec![1.0; n]).unwrap());
    let case = |f| Case::new(format!("{f:?} at the edges"), Elementwise::gated(f), vec![gate.clone(), up.clone()]);
    check(&[case(Function::Silu), case(Function::GeluTanh)]);
}

#[test]
fn long_lines_fold_into_two_grid_dimensions() {
    let case = Case::new("folded grid", Elementwise::add(), vec![input(&[1000], 3), input(&[1000], 4)]);
    check_with(&[case], |c| c.max_grid = 7);
}
