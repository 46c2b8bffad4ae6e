//! The references of ops that pick and place elements, against what NumPy and the ONNX reference evaluator (1.23.2) give.

use std::sync::Arc;

use wavelane::Error;
use wavelane::dtype::DType;
use wavelane::ops::scatter::Update;
use wavelane::ops::*;
use wavelane::shape::TensorType;
use wavelane::tensor::Tensor;

fn ints(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::i64(shape, values.to_vec()).unwrap()
}

fn reference(op: impl Into<Op>, inputs: &[Tensor]) -> wavelane::Result<Tensor> {
    let inputs = inputs.iter().map(|t| Input::Tensor(Arc::new(t.clone()))).collect();
    op.into().rule().reference(inputs).map(|mut outputs| outputs.remove(0))
}

/// Tensors of 0, 1, 2 and so on.
fn range(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    ints(shape, &(0..n as i64).collect::<Vec<_>>())
}

#[test]
fn concatenations_and_gathers() {
    let joined = reference(Concat { axis: 1 }, &[range(&[2, 2]), ints(&[2, 1], &[7, 8])]).unwrap();
    assert_eq!(joined, ints(&[2, 3], &[0, 1, 7, 2, 3, 8]));
    let slices = reference(Gather { axis: 1 }, &[range(&[2, 3, 2]), ints(&[2, 2], &[0, -1, 1, 1])]).unwrap();
    assert_eq!(slices, ints(&[2, 2, 2, 2], &[0, 1, 4, 5, 2, 3, 2, 3, 6, 7, 10, 11, 8, 9, 8, 9]));
    let element = reference(Gather { axis: 0 }, &[range(&[3]), ints(&[], &[2])]).unwrap();
    assert_eq!(element, ints(&[], &[2]));
    let elements = reference(GatherElements { axis: 1 }, &[range(&[2, 3]), ints(&[2, 2], &[2, 0, -1, 1])]).unwrap();
    assert_eq!(elements, ints(&[2, 2], &[2, 0, 5, 4]));
    let tuples = [
        (0, ints(&[2, 2], &[0, 1, 1, 0]), ints(&[2, 2], &[2, 3, 4, 5])),
        (0, ints(&[2, 1, 3], &[0, -1, 1, 1, 0, 0]), ints(&[2, 1], &[3, 4])),
        (1, ints(&[2, 1], &[1, 0]), ints(&[2, 2], &[2, 3, 4, 5])),
    ];
    for (batch_dims, indices, expected) in tuples {
        assert_eq!(reference(GatherNd { batch_dims }, &[range(&[2, 2, 2]), indices]).unwrap(), expected);
    }
}

#[test]
fn scatters() {
    let elements = |axis, reduction, indices: Tensor, updates: Tensor| {
        reference(ScatterElements { axis, reduction }, &[range(&[2, 3]), indices, updates]).unwrap()
    };
    let none = elements(0, Update::Replace, ints(&[1, 2], &[1, 0]), ints(&[1, 2], &[7, 8]));
    assert_eq!(none, ints(&[2, 3], &[0, 8, 2, 7, 4, 5]));
    for (reduction, first) in
        [(Update::Add, [20, 1, 82]), (Update::Mul, [0, 1, 24000]), (Update::Max, [20, 1, 40]), (Update::Min, [0, 1, 2])]
    {
        let out = elements(1, reduction, ints(&[1, 4], &[2, 0, 2, 2]), ints(&[1, 4], &[10, 20, 30, 40]));
        assert_eq!(out, ints(&[2, 3], &[&first[..], &[3, 4, 5]].concat()), "{reduction:?}");
    }
    let data = ints(&[4, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
    for (reduction, expected) in [
        (Update::Replace, [5, 6, 3, 4, 5, 6, 1, 2]),
        (Update::Add, [9, 12, 3, 4, 5, 6, 8, 10]),
        (Update::Mul, [15, 48, 3, 4, 5, 6, 7, 16]),
        (Update::Max, [5, 6, 3, 4, 5, 6, 7, 8]),
        (Update::Min, [1, 2, 3, 4, 5, 6, 1, 2]),
    ] {
        let operands = [data.clone(), ints(&[3, 1], &[-1, 0, 0]), ints(&[3, 2], &[1, 2, 3, 4, 5, 6])];
        assert_eq!(reference(ScatterNd { reduction }, &operands).unwrap(), ints(&[4, 2], &expected), "{reduction:?}");
    }
}

#[test]
fn reversals_and_determinants() {
    let by_column = reference(ReverseRows { batch_axis: 1, time_axis: 0 }, &[range(&[4, 4]), ints(&[4], &[4, 3, 2, 1])]);
    assert_eq!(by_column.unwrap(), ints(&[4, 4], &[12, 9, 6, 3, 8, 5, 2, 7, 4, 1, 10, 11, 0, 13, 14, 15]));
    let by_row = reference(ReverseRows { batch_axis: 0, time_axis: 1 }, &[range(&[4, 4]), ints(&[4], &[1, 2, 3, 4])]);
    assert_eq!(by_row.unwrap(), ints(&[4, 4], &[0, 1, 2, 3, 5, 4, 6, 7, 10, 9, 8, 11, 15, 14, 13, 12]));
    let matrices = Tensor::f32(&[2, 2, 2], vec![1., 2., 3., 4., 2., -1., 0., 3.]).unwrap();
    assert_eq!(reference(Determinant, &[matrices]).unwrap(), Tensor::f32(&[2], vec![-2., 6.]).unwrap());
}

#[test]
fn references_take_tensors_without_elements() {
    let none = |shape: &[usize]| ints(shape, &[]);
    assert_eq!(reference(Concat { axis: 0 }, &[none(&[0, 2]), range(&[1, 2]), none(&[0, 2])]).unwrap(), range(&[1, 2]));
    assert_eq!(reference(Concat { axis: 1 }, &[none(&[0, 2]), none(&[0, 3])]).unwrap(), none(&[0, 5]));
    assert_eq!(reference(Gather { axis: 0 }, &[range(&[3, 2]), none(&[0])]).unwrap(), none(&[0, 2]));
    assert_eq!(reference(Gather { axis: 1 }, &[none(&[0, 2]), ints(&[1], &[1])]).unwrap(), none(&[0, 1]));
    assert_eq!(reference(GatherElements { axis: 0 }, &[range(&[3, 2]), none(&[0, 2])]).unwrap(), none(&[0, 2]));
    assert_eq!(reference(GatherNd { batch_dims: 0 }, &[range(&[3, 2]), none(&[0, 1])]).unwrap(), none(&[0, 2]));
    assert_eq!(reference(GatherNd { batch_dims: 1 }, &[none(&[0, 2]), none(&[0, 3, 1])]).unwrap(), none(&[0, 3]));
    for reduction in [Update::Replace, Update::Add] {
        let elements = ScatterElements { axis: 0, reduction };
        assert_eq!(reference(elements, &[range(&[3]), none(&[0]), none(&[0])]).unwrap(), range(&[3]));
        assert_eq!(reference(ScatterNd { reduction }, &[range(&[3]), none(&[0, 1]), none(&[0])]).unwrap(), range(&[3]));
    }
    let reversed = reference(ReverseRows { batch_axis: 0, time_axis: 1 }, &[none(&[2, 0]), ints(&[2], &[0, 0])]);
    assert_eq!(reversed.unwrap(), none(&[2, 0]));
    // The empty product.
    let matrix = Tensor::f32(&[1, 0, 0], Vec::new()).unwrap();
    assert_eq!(reference(Determinant, &[matrix]).unwrap(), Tensor::f32(&[1], vec![1.0]).unwrap());
}

#[test]
fn indices_and_lengths_outside_are_refused_by_name() {
    let refused = |op: Op, inputs: &[Tensor], what: &str| match reference(op, inputs) {
        Err(e @ Error::Shape { .. }) => assert_eq!(e.to_string(), what),
        other => panic!("{other:?}"),
    };
    refused(Gather { axis: 0 }.into(), &[range(&[3]), ints(&[1], &[3])], "Gather: index 3 is outside of -3 .. 3");
    let tuple = ints(&[1, 2], &[0, -3]);
    refused(GatherNd { batch_dims: 0 }.into(), &[range(&[3, 2]), tuple], "GatherNd: index -3 is outside of -2 .. 2");
    let lengths = ints(&[2], &[1, 4]);
    let reverse = ReverseRows { batch_axis: 0, time_axis: 1 };
    refused(reverse.into(), &[range(&[2, 3]), lengths], "ReverseRows: length 4 is outside of 0 ..= 3");
}

#[test]
fn shapes_that_do_not_go_together_are_refused() {
    let refused = |op: Op, inputs: &[(DType, &[usize])]| {
        let types: Vec<TensorType> = inputs.iter().map(|(dtype, shape)| TensorType::new(*dtype, *shape)).collect();
        let found = op.rule().infer(&types.iter().collect::<Vec<_>>());
        assert!(matches!(found, Err(Error::Shape { .. })), "{op}: {found:?}");
    };
    let (f, i) = (DType::F32, DType::I64);
    refused(Concat { axis: 0 }.into(), &[]);
    refused(Concat { axis: 2 }.into(), &[(f, &[2, 2])]);
    refused(Concat { axis: 0 }.into(), &[(f, &[2, 2]), (i, &[2, 2])]);
    refused(Concat { axis: 0 }.into(), &[(f, &[2, 2]), (f, &[2, 3])]);
    refused(Gather { axis: 1 }.into(), &[(f, &[2]), (i, &[1])]);
    refused(Gather { axis: 0 }.into(), &[(f, &[2]), (f, &[1])]);
    refused(GatherElements { axis: 0 }.into(), &[(f, &[2, 3]), (i, &[2, 4])]);
    refused(GatherElements { axis: 0 }.into(), &[(f, &[2, 3]), (i, &[2])]);
    refused(GatherNd { batch_dims: 0 }.into(), &[(f, &[2, 3]), (i, &[1, 3])]);
    refused(GatherNd { batch_dims: 0 }.into(), &[(f, &[2, 3]), (i, &[1, 0])]);
    refused(GatherNd { batch_dims: 1 }.into(), &[(f, &[2, 3]), (i, &[3, 1])]);
    refused(GatherNd { batch_dims: 1 }.into(), &[(f, &[2, 3]), (i, &[2])]);
    refused(GatherNd { batch_dims: usize::MAX }.into(), &[(f, &[2, 3]), (i, &[2, 1])]);
    let reduction = Update::Replace;
    refused(ScatterElements { axis: 0, reduction }.into(), &[(f, &[2]), (i, &[3]), (f, &[2])]);
    refused(ScatterElements { axis: 0, reduction }.into(), &[(f, &[2]), (i, &[3]), (i, &[3])]);
    refused(ScatterNd { reduction }.into(), &[(f, &[2, 3]), (i, &[1, 1]), (f, &[1, 2])]);
    refused(ScatterNd { reduction }.into(), &[(f, &[2, 3]), (i, &[1, 3]), (f, &[1])]);
    refused(ScatterNd { reduction }.into(), &[(f, &[2, 3]), (i, &[]), (f, &[])]);
    refused(ReverseRows { batch_axis: 0, time_axis: 0 }.into(), &[(f, &[2, 3]), (i, &[2])]);
    refused(ReverseRows { batch_axis: 0, time_axis: 1 }.into(), &[(f, &[2, 3]), (i, &[3])]);
    let distribution = random::Distribution::Uniform { low: 0.0, high: 1.0 };
    refused(Random { distribution, seed: 0, shape: vec![usize::MAX, 2] }.into(), &[]);
    refused(Random { distribution, seed: 0, shape: vec![1] }.into(), &[(f, &[1])]);
    refused(Determinant.into(), &[(f, &[2, 3])]);
    refused(Determinant.into(), &[(f, &[2])]);
    refused(Determinant.into(), &[(i, &[2, 2])]);
}
