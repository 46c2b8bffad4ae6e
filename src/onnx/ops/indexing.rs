//! Operators that pick, place or count elements by indices.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::{Operator, device};
use crate::ops::scatter::Update;
use crate::ops::{Concat, Gather, GatherElements, GatherNd, ScatterElements, ScatterNd};

pub const OPERATORS: &[Operator] = &[
    device("Concat", concat),
    device("Gather", |cx| {
        let (x, indices) = (cx.input(0)?, cx.input(1)?);
        let axis = cx.int("axis", 0);
        let axis = cx.axis(axis, x.rank())?;
        Ok(vec![cx.apply(Gather { axis }, &[&x, &indices], x.ty)?])
    }),
    device("GatherElements", |cx| {
        let (x, indices) = (cx.input(0)?, cx.input(1)?);
        let axis = cx.int("axis", 0);
        let axis = cx.axis(axis, x.rank())?;
        Ok(vec![cx.apply(GatherElements { axis }, &[&x, &indices], x.ty)?])
    }),
    device("GatherND", |cx| {
        let (x, indices) = (cx.input(0)?, cx.input(1)?);
        let batch_dims = usize::try_from(cx.int("batch_dims", 0)).map_err(|_| cx.error("negative 'batch_dims'"))?;
        Ok(vec![cx.apply(GatherNd { batch_dims }, &[&x, &indices], x.ty)?])
    }),
    device("Scatter", scatter_elements),
    device("ScatterElements", scatter_elements),
    device("ScatterND", |cx| {
        let (data, indices, updates) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        let reduction = reduction(cx)?;
        if indices.is_empty() || updates.is_empty() {
            return Ok(vec![data]);
        }
        Ok(vec![cx.apply(ScatterNd { reduction }, &[&data, &indices, &updates], data.ty)?])
    }),
];

fn reduction(cx: &Context) -> Traced<Update> {
    match cx.text("reduction", "none") {
        "none" => Ok(Update::Replace),
        "add" => Ok(Update::Add),
        "mul" => Ok(Update::Mul),
        "max" => Ok(Update::Max),
        "min" => Ok(Update::Min),
        other => Err(cx.unsupported(format!("the reduction '{other}'"))),
    }
}

fn scatter_elements(cx: &mut Context) -> Traced<Vec<Value>> {
    let (data, indices, updates) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let axis = cx.int("axis", 0);
    let (axis, reduction) = (cx.axis(axis, data.rank())?, reduction(cx)?);
    if indices.is_empty() {
        return Ok(vec![data]);
    }
    Ok(vec![cx.apply(ScatterElements { axis, reduction }, &[&data, &indices, &updates], data.ty)?])
}

fn concat(cx: &mut Context) -> Traced<Vec<Value>> {
    let all = cx.all()?;
    let Some(first) = all.first() else { return Err(cx.error("no operands")) };
    let axis = cx.int("axis", 1);
    let axis = cx.axis(axis, first.rank())?;
    // Operands without elements add nothing.
    let full: Vec<&Value> = all.iter().filter(|v| !v.is_empty()).collect();
    match full[..] {
        [] => Ok(vec![cx.apply(Concat { axis }, &all.iter().collect::<Vec<_>>(), first.ty)?]),
        [one] => Ok(vec![one.clone()]),
        _ => Ok(vec![cx.apply(Concat { axis }, &full, first.ty)?]),
    }
}
