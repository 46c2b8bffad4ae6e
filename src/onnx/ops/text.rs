//! Operators on sequences of word numbers.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::{Operator, device};
use crate::formats::ElementType;
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator as Op};
use crate::ops::view::{Axis, Border};
use crate::ops::{Concat, Reduce, Reduction, View};
use crate::tensor::Tensor;

pub const OPERATORS: &[Operator] = &[device("TfIdfVectorizer", count_grams)];

/// How often each n-gram of a pool occurs, perhaps weighted: each gram is compared with every window of the sequence.
fn count_grams(cx: &mut Context) -> Traced<Vec<Value>> {
    let x = cx.input(0)?;
    let Some(pool) = cx.ints("pool_int64s") else { return Err(cx.unsupported("a pool of strings")) };
    let (Some(counts), Some(places)) = (cx.ints("ngram_counts"), cx.ints("ngram_indexes")) else {
        return Err(cx.error("'ngram_counts' or 'ngram_indexes' is missing"));
    };
    let (shortest, longest) = (cx.int("min_gram_length", 1), cx.int("max_gram_length", 1));
    let most_skips = cx.int("max_skip_count", 0).clamp(0, x.len() as i64);
    let (batch, length) = match x.shape[..] {
        [n] => (1, n),
        [rows, n] => (rows, n),
        _ => return Err(cx.error(format!("{:?} is neither a sequence nor a batch of them", x.shape))),
    };
    let width = places.iter().max().map_or(0, |n| n + 1);
    let width = super::shape::host_sizes(cx, &[width])?[0];
    if places.iter().any(|place| *place < 0) {
        return Err(cx.error("'ngram_indexes' are negative"));
    }
    let rows = cx.reshape(&x, &[batch, length])?;
    let mut parts: Vec<Value> = Vec::new();
    let mut columns: Vec<usize> = Vec::new();
    let mut gram = 0;
    for (i, start) in counts.iter().enumerate() {
        let n = i + 1;
        let end = counts.get(n).copied().unwrap_or(pool.len() as i64);
        let range = usize::try_from(*start).ok().zip(usize::try_from(end).ok());
        let grams =
            range.and_then(|(start, end)| pool.get(start..end)).ok_or_else(|| cx.error("'ngram_counts' leave the pool"))?;
        let number = grams.len() / n;
        let first = gram;
        gram += number;
        if number == 0 || (n as i64) < shortest || (n as i64) > longest {
            continue;
        }
        let list = places.get(first..gram).ok_or_else(|| cx.error("'ngram_indexes' are too few"))?;
        columns.extend(list.iter().map(|p| *p as usize));
        let constant = cx.constant(x.ty, Tensor::i64(&[1, 1, number, n], grams[..number * n].to_vec())?);
        let mut sum: Option<Value> = None;
        // A single word has no gaps to skip over.
        for skip in 0..if n == 1 { 1 } else { most_skips as usize + 1 } {
            let Some(windows) = length.checked_sub((n - 1) * (skip + 1)).filter(|w| *w > 0) else { continue };
            let run = |len: usize, stride: usize| Axis { len, start: 0, step: 1, extent: len, stride };
            let view =
                View { axes: vec![run(batch, length), run(windows, 1), run(1, 1), run(n, skip + 1)], border: Border::None };
            let view = cx.apply(view, &[&rows], x.ty)?;
            let same = cx.elementwise(
                Expr::binary(Op::Equal, Expr::operand(0), Expr::operand(1)),
                &[&view, &constant],
                ElementType::Int64,
            )?;
            let all = cx.apply(Reduce { kind: Reduction::Min, axes: 3..4 }, &[&same], ElementType::Int64)?;
            let found = cx.apply(Reduce { kind: Reduction::Sum, axes: 1..2 }, &[&all], ElementType::Int64)?;
            let found = cx.reshape(&found, &[batch, number])?;
            sum = Some(match sum {
                Some(sum) => cx.binary(Op::Add, &sum, &found)?,
                None => found,
            });
        }
        parts.push(match sum {
            Some(sum) => sum,
            None => cx.constant(ElementType::Int64, Tensor::i64(&[batch, number], vec![0; batch * number])?),
        });
    }
    let shape = if x.rank() == 1 { vec![width] } else { vec![batch, width] };
    let found = match &parts[..] {
        [] => cx.constant(ElementType::Int64, Tensor::i64(&[batch, 1], vec![0; batch])?),
        [one] => one.clone(),
        _ => cx.apply(Concat { axis: 1 }, &parts.iter().collect::<Vec<_>>(), ElementType::Int64)?,
    };
    // Each gram goes to its column of the result.
    super::shape::host_sizes(cx, &[found.shape[1] as i64, width as i64])?;
    let spread = placed(columns, found.shape[1], width)?;
    let spread = cx.constant(ElementType::Int64, spread);
    let tallied = super::linear::mat_mul(cx, &found, &spread)?;
    let tallied = cx.reshape(&tallied, &shape)?;
    weighted(cx, &tallied, width).map(|v| vec![v])
}

/// A matrix with a 1 in row i at column `columns[i]`.
fn placed(columns: Vec<usize>, rows: usize, width: usize) -> Traced<Tensor> {
    let mut ones = vec![0; rows * width];
    columns.into_iter().enumerate().for_each(|(i, c)| ones[i * width + c] = 1);
    Ok(Tensor::i64(&[rows, width], ones)?)
}

/// Counts by the mode: as they are (TF), whether there are any (IDF), or both (TFIDF), with a weight for each column.
fn weighted(cx: &mut Context, counts: &Value, width: usize) -> Traced<Value> {
    let count = Expr::call(Function::ToFloat, Expr::operand(0));
    let held = match cx.text("mode", "TF") {
        "IDF" => Expr::binary(Op::Min, count, Expr::float(1.0)),
        "TF" | "TFIDF" => count,
        other => return Err(cx.unsupported(format!("the mode '{other}'"))),
    };
    match cx.floats("weights").filter(|w| cx.text("mode", "TF") != "TF" && w.len() == width) {
        Some(weights) => {
            let weights = cx.float_list(&[width], weights.to_vec())?;
            cx.elementwise(Expr::product(held, Expr::operand(1)), &[counts, &weights], ElementType::Float)
        }
        None => cx.elementwise(held, &[counts], ElementType::Float),
    }
}
