//! Products whose activations become bytes: which do, and how far results move.

use std::sync::Arc;

use wavelane::dtype::DType;
use wavelane::graph::verify;
use wavelane::kernel::Expr;
use wavelane::ops::{MatMul, RmsNorm};
use wavelane::plan::passes;
use wavelane::tensor::Weight;

use crate::random::weight_bytes;
use crate::{Model, count, outputs};

const K: usize = 128;

fn blocks(dtype: DType, rows: usize) -> Weight {
    let bytes = weight_bytes(dtype, rows, K, rows as u64, 0.05);
    let n = bytes.len();
    Weight::new(dtype, &[rows, K], Arc::new(bytes), 0..n).unwrap()
}

#[test]
fn activations_are_quantised_once_and_move_by_half_a_step() {
    let mut model = Model::default();
    let x = model.input(&[2, K]);
    let weights = [blocks(DType::Q4_0, 5), blocks(DType::Q8_0, 3)];
    for weight in &weights {
        let w = model.0.weight("w", weight.clone());
        let out = model.node(MatMul::plain(), &[x, w]);
        model.0.output(out);
    }
    let dense = model.weight(&[4, K], 9);
    let out = model.node(MatMul::plain(), &[x, dense]);
    let before = model.finish(out);

    let mut after = before.clone();
    assert_eq!(passes::quantize_activations(&mut after).unwrap(), 2);
    verify::verify(&after, "the graph after the pass").unwrap();
    assert_eq!([count(&after, "QuantizeRows"), count(&after, "QuantizedMatMul"), count(&after, "MatMul")], [1, 2, 1]);
    assert_eq!(passes::quantize_activations(&mut after).unwrap(), 0);

    let (old, new) = (outputs(&before, 1), outputs(&after, 1));
    assert_eq!(old[2], new[2]);
    for ((old, new), weight) in old.iter().zip(&new).zip(&weights) {
        let mut moved = false;
        for (i, (old, new)) in old.as_f32().unwrap().iter().zip(new.as_f32().unwrap()).enumerate() {
            let mut row = vec![0.0; K];
            weight.row(i % weight.rows(), &mut row).unwrap();
            // Inputs are below 3 in magnitude, so that no step is greater than 3 / 126.
            let bound = row.iter().map(|w| w.abs() * 3.0 / 126.0 / 2.0).sum::<f32>();
            assert!((old - new).abs() <= bound * 1.001, "{old} became {new}, which is more than {bound}");
            moved |= old != new;
        }
        assert!(moved);
    }
}

/// A norm that was part of a product goes on to what quantises its rows; pairs of rows stay with the product.
#[test]
fn norms_go_into_the_quantisation_and_pairs_are_kept() {
    let norm = RmsNorm { epsilon: 1e-5 };
    let tail = Expr::product(Expr::operand(0), Expr::operand(1));
    let quantised = |fused: bool| {
        let mut model = Model::default();
        let x = model.input(&[1, K]);
        let w = model.0.weight("w", blocks(DType::Q4_1, 6));
        let gain = model.weight(&[K], 4);
        let op = MatMul { norm: fused.then(|| norm.clone()), paired: true, tail: tail.clone(), ..MatMul::plain() };
        let out = match fused {
            true => model.node(op, &[x, w, gain]),
            false => {
                let normed = model.node(norm.clone(), &[x, gain]);
                model.node(op, &[normed, w])
            }
        };
        let mut graph = model.finish(out);
        assert_eq!(passes::quantize_activations(&mut graph).unwrap(), 1);
        verify::verify(&graph, "the graph after the pass").unwrap();
        assert_eq!([count(&graph, "QuantizeRows"), count(&graph, "QuantizedMatMul")], [1, 1]);
        assert_eq!(count(&graph, "RmsNorm"), usize::from(!fused));
        outputs(&graph, 1)
    };
    assert_eq!(quantised(true), quantised(false));
}
