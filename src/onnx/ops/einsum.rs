//! Einstein summation, as products of batches of matrices.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::math::wrapped;
use super::{Operator, device};
use crate::kernel::Expr;
use crate::ops::{BatchMatMul, Reduce, Reduction, View};

pub const OPERATORS: &[Operator] = &[device("Einsum", einsum)];

/// A name of a dimension: a letter, or the place of a dimension under an ellipsis, counted from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    /// Under the ellipsis.
    Ellipsis(usize),
    /// A letter.
    Letter(char),
}

/// A value whose dimensions have names, each at most once.
struct Term {
    value: Value,
    labels: Vec<Label>,
}

impl Term {
    fn size(&self, label: Label) -> usize {
        self.labels.iter().position(|l| *l == label).map_or(1, |d| self.value.shape[d])
    }

    /// The dimensions in the order of `labels`, which are all of them.
    fn ordered(self, cx: &mut Context, labels: &[Label]) -> Traced<Term> {
        let order: Vec<usize> = labels.iter().filter_map(|l| self.labels.iter().position(|own| own == l)).collect();
        Ok(Term { value: cx.transpose(&self.value, &order)?, labels: labels.to_vec() })
    }

    /// Summed along all dimensions that `keep` does not want.
    fn summed(self, cx: &mut Context, keep: impl Fn(Label) -> bool) -> Traced<Term> {
        let (kept, gone): (Vec<Label>, Vec<Label>) = self.labels.iter().partition(|l| keep(**l));
        if gone.is_empty() {
            return Ok(self);
        }
        let term = self.ordered(cx, &[&kept[..], &gone].concat())?;
        let axes = kept.len()..term.labels.len();
        let sums = cx.apply(Reduce { kind: Reduction::Sum, axes }, &[&term.value], term.value.ty)?;
        let shape = sums.shape[..kept.len()].to_vec();
        Ok(Term { value: cx.reshape(&sums, &shape)?, labels: kept })
    }
}

fn einsum(cx: &mut Context) -> Traced<Vec<Value>> {
    let operands = cx.all()?;
    let equation: String = cx.text("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let names: Vec<&str> = left.split(',').collect();
    if names.len() != operands.len() || operands.is_empty() {
        return Err(cx.error(format!("the equation '{equation}' of {} operands", operands.len())));
    }
    let mut terms = Vec::new();
    let mut all = Vec::new();
    for (name, value) in names.iter().zip(&operands) {
        let letters = name.replacen("...", "", 1);
        let hidden = value.rank().checked_sub(letters.chars().count()).filter(|n| *n == 0 || name.contains("..."));
        let hidden = hidden.ok_or_else(|| cx.error(format!("'{name}' names the dimensions of {:?}", value.shape)))?;
        let labels = labels(cx, name, hidden)?;
        all.extend(labels.iter().copied());
        terms.push(diagonal(cx, value, &labels)?);
    }
    let hidden = all.iter().filter_map(|l| if let Label::Ellipsis(i) = l { Some(i + 1) } else { None }).max().unwrap_or(0);
    let output = match right {
        Some(right) => labels(cx, right, hidden)?,
        // What is named once, in alphabetical order, after what the ellipses hide.
        None => {
            let mut once: Vec<Label> = all.iter().copied().filter(|l| all.iter().filter(|o| *o == l).count() == 1).collect();
            once.retain(|l| matches!(l, Label::Letter(_)));
            once.sort_unstable();
            (0..hidden).rev().map(Label::Ellipsis).chain(once).collect()
        }
    };
    let twice = |(i, l): (usize, &Label)| output[..i].contains(l) || !all.contains(l);
    if output.iter().enumerate().any(twice) {
        return Err(cx.error(format!("the output of '{equation}' names a dimension twice, or one that no operand has")));
    }
    for label in &all {
        let sizes = || terms.iter().filter(|t| t.labels.contains(label)).map(|t| t.size(*label));
        let most = sizes().max().unwrap_or(1);
        if let Some(other) = sizes().find(|n| *n != 1 && *n != most) {
            return Err(cx.error(format!("a dimension of '{equation}' is {most} here and {other} there")));
        }
    }
    terms.reverse();
    let mut so_far = terms.pop().ok_or_else(|| cx.error("no operands"))?;
    loop {
        // Dimensions that nothing else names are summed before they are multiplied.
        let later = |l: Label, rest: &[Term]| output.contains(&l) || rest.iter().any(|t| t.labels.contains(&l));
        so_far = so_far.summed(cx, |l| later(l, &terms))?;
        let Some(next) = terms.pop() else { break };
        let next = next.summed(cx, |l| later(l, &terms) || so_far.labels.contains(&l))?;
        so_far = product(cx, so_far, next, |l| later(l, &terms))?;
    }
    let ordered = so_far.ordered(cx, &output)?.value;
    let narrow = wrapped(Expr::operand(0), ordered.ty);
    if ordered.ty.is_integer() && narrow != Expr::operand(0) {
        return Ok(vec![cx.elementwise(narrow, &[&ordered], ordered.ty)?]);
    }
    Ok(vec![ordered])
}

/// The dimensions that a term of the equation names, `hidden` of them by its ellipsis.
fn labels(cx: &Context, name: &str, hidden: usize) -> Traced<Vec<Label>> {
    let mut labels = Vec::new();
    for (i, part) in name.split("...").enumerate() {
        if i > 1 {
            return Err(cx.error(format!("'{name}' has two ellipses")));
        }
        if i == 1 {
            labels.extend((0..hidden).rev().map(Label::Ellipsis));
        }
        if let Some(c) = part.chars().find(|c| !c.is_ascii_alphabetic()) {
            return Err(cx.error(format!("'{c}' in '{name}' is no letter")));
        }
        labels.extend(part.chars().map(Label::Letter));
    }
    Ok(labels)
}

/// The elements whose coordinates agree along all dimensions of one name.
fn diagonal(cx: &mut Context, value: &Value, labels: &[Label]) -> Traced<Term> {
    let mut view = View { axes: Vec::new(), ..View::of(&value.shape) };
    let mut unique: Vec<Label> = Vec::new();
    for (axis, label) in View::of(&value.shape).axes.into_iter().zip(labels) {
        match unique.iter().position(|l| l == label) {
            Some(d) if view.axes[d].len == axis.len => view.axes[d].stride += axis.stride,
            Some(_) => return Err(cx.error(format!("{:?} has no diagonal", value.shape))),
            None => {
                unique.push(*label);
                view.axes.push(axis);
            }
        }
    }
    let value = if unique.len() == labels.len() { value.clone() } else { cx.apply(view, &[value], value.ty)? };
    Ok(Term { value, labels: unique })
}

/// The product of two terms, summed along the dimensions that both have and `later` does not want.
fn product(cx: &mut Context, a: Term, b: Term, later: impl Fn(Label) -> bool) -> Traced<Term> {
    let (shared, rows): (Vec<Label>, Vec<Label>) = a.labels.iter().partition(|l| b.labels.contains(l));
    let (batch, depth): (Vec<Label>, Vec<Label>) = shared.iter().partition(|l| later(**l));
    let columns: Vec<Label> = b.labels.iter().copied().filter(|l| !a.labels.contains(l)).collect();
    let sizes = |term: &Term, labels: &[Label]| labels.iter().map(|l| term.size(*l)).collect::<Vec<_>>();
    let count = |term: &Term, labels: &[Label]| sizes(term, labels).iter().product::<usize>();
    // Along the depth a dimension of 1 is repeated for each of the other's.
    let full: Vec<usize> = depth.iter().map(|l| a.size(*l).max(b.size(*l))).collect();
    let matrix = |cx: &mut Context, term: Term, free: &[Label], depth_first: bool| {
        let (first, second) = if depth_first { (&depth[..], free) } else { (free, &depth[..]) };
        let free_count = count(&term, free);
        let term = term.ordered(cx, &[&batch, first, second].concat())?;
        let mut shape = term.value.shape.clone();
        let from = batch.len() + if depth_first { 0 } else { free.len() };
        shape[from..from + depth.len()].copy_from_slice(&full);
        let value = cx.expand(&term.value, &shape)?;
        let depth_count = full.iter().product();
        let sides = if depth_first { [depth_count, free_count] } else { [free_count, depth_count] };
        cx.reshape(&value, &[&shape[..batch.len()], &sides].concat())
    };
    let (row_sizes, column_sizes) = (sizes(&a, &rows), sizes(&b, &columns));
    // Matrices that lie the other way round are taken as they lie.
    let lies_first = |term: &Term| term.labels.get(batch.len()).is_some_and(|l| depth.contains(l));
    let (transpose_a, transpose_b) = (lies_first(&a), !lies_first(&b));
    let ty = a.value.ty;
    let left = matrix(cx, a, &rows, transpose_a)?;
    let right = matrix(cx, b, &columns, !transpose_b)?;
    let value = cx.apply(BatchMatMul { transpose_a, transpose_b, ..BatchMatMul::plain() }, &[&left, &right], ty)?;
    let shape = [&value.shape[..batch.len()], &row_sizes, &column_sizes].concat();
    Ok(Term { value: cx.reshape(&value, &shape)?, labels: [batch, rows, columns].concat() })
}
