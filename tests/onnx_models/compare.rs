//! Results beside the goldens.

use std::collections::BTreeMap;

use wavelane::formats::ElementType;
use wavelane::onnx::Array;
use wavelane::tensor::{Data, Tensor};

use super::index::{Case, Output};

/// Compares all outputs of a case with `golden`, its npz. The largest error as a part of the tolerance, and what is wrong.
pub fn compare(
    case: &Case,
    results: &BTreeMap<String, Array>,
    golden: &BTreeMap<String, (ElementType, Tensor)>,
) -> (f32, Vec<String>) {
    let (mut worst, mut wrong) = (0.0f32, Vec::new());
    for (number, output) in case.outputs.iter().enumerate() {
        let array = |suffix: &str| golden.get(&format!("out{number}{suffix}")).map(|(_, tensor)| tensor);
        let found = match results.get(&output.name).map(|a| (a.ty, a.tensor.shape(), a.tensor.data())) {
            Some((ElementType::Float, shape, Data::F32(values))) if shape == output.shape => values,
            other => {
                let other = other.map(|(ty, shape, _)| format!("{}{shape:?}", ty.name()));
                wrong.push(format!("'{}' is {other:?}, not float{:?}", output.name, output.shape));
                continue;
            }
        };
        let part = match (array(""), array("_at"), array("_values")) {
            (Some(all), ..) => check(output, "", found, &all.to_f32(), &mut wrong),
            (None, Some(at), Some(values)) => {
                let there: Vec<f32> = at.as_i64().unwrap().iter().map(|i| found[*i as usize]).collect();
                check(output, " at the samples", &there, &values.to_f32(), &mut wrong)
            }
            _ => panic!("{} has no values of '{}'", case.case, output.name),
        };
        worst = worst.max(part);
        if let (Some(max), Some(mean), Some(best), Some(margin)) =
            (array("_max"), array("_mean"), array("_argmax"), array("_margin"))
        {
            let rows: Vec<&[f32]> = found.chunks_exact(output.shape.last().copied().unwrap_or(1)).collect();
            let maxima: Vec<f32> = rows.iter().map(|r| r.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
            let means: Vec<f32> =
                rows.iter().map(|r| (r.iter().map(|v| f64::from(*v)).sum::<f64>() / r.len() as f64) as f32).collect();
            worst = worst.max(check(output, ", maxima of rows", &maxima, &max.to_f32(), &mut wrong));
            worst = worst.max(check(output, ", means of rows", &means, &mean.to_f32(), &mut wrong));
            for (row, ((values, best), margin)) in rows.iter().zip(best.as_i64().unwrap()).zip(margin.to_f32()).enumerate() {
                let found = arg_max(values);
                if found != *best as usize && margin >= 2.0 * output.tolerance {
                    wrong.push(format!("'{}' row {row}: the largest is {found}, not {best} by {margin}", output.name));
                }
            }
        }
    }
    (worst, wrong)
}

/// The largest error as a part of the tolerance.
fn check(output: &Output, what: &str, found: &[f32], expected: &[f32], wrong: &mut Vec<String>) -> f32 {
    assert_eq!(found.len(), expected.len(), "'{}'{what}", output.name);
    let error = |i: usize| match (found[i] - expected[i]).abs() / output.tolerance {
        nan if nan.is_nan() => f32::INFINITY,
        error => error,
    };
    let at = (0..found.len()).max_by(|a, b| error(*a).total_cmp(&error(*b)));
    let Some(at) = at else { return 0.0 };
    if error(at) > 1.0 {
        let over = (0..found.len()).filter(|i| error(*i) > 1.0).count();
        wrong.push(format!(
            "'{}'{what}: {over} of {} are off, most {at}: {} instead of {}, tolerance {}",
            output.name,
            found.len(),
            found[at],
            expected[at],
            output.tolerance
        ));
    }
    error(at)
}

/// The first place of the largest value.
pub fn arg_max(values: &[f32]) -> usize {
    (0..values.len()).rev().max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(0)
}
