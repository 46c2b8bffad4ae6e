//! Operators whose results have shapes that depend on elements: the host computes them between stages.

use super::super::context::Context;
use super::super::tracer::Traced;
use super::super::value::Value;
use super::{Operator, device, on_host};
use crate::formats::ElementType;
use crate::ops::host::{Suppression, compress, non_max_suppression, non_zero, range, unique};
use crate::ops::{Determinant, ReverseRows};

pub const OPERATORS: &[Operator] = &[
    on_host("Compress", "as many elements as the condition holds for", |cx| {
        let (x, condition) = (cx.input(0)?, cx.input(1)?);
        let axis = match cx.attribute("axis") {
            Some(_) => Some(cx.axis(cx.int("axis", 0), x.rank())?),
            None => None,
        };
        cx.host_step(&[&x, &condition], &[x.ty], |t| Ok(vec![compress(&t[0], &t[1], axis)?]))
    }),
    device("Det", |cx| {
        let x = cx.input(0)?;
        Ok(vec![cx.apply(Determinant, &[&x], x.ty)?])
    }),
    on_host("NonMaxSuppression", "as many boxes as remain", suppress),
    on_host("NonZero", "as many columns as there are elements other than 0", |cx| {
        let x = cx.input(0)?;
        cx.host_step(&[&x], &[ElementType::Int64], |t| Ok(vec![non_zero(&t[0])?]))
    }),
    on_host("Range", "as many elements as the limits say", |cx| {
        let (start, limit, delta) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
        cx.host_step(&[&start, &limit, &delta], &[start.ty], |t| Ok(vec![range(&t[0], &t[1], &t[2])?]))
    }),
    device("ReverseSequence", |cx| {
        let (x, lengths) = (cx.input(0)?, cx.input(1)?);
        let batch_axis = cx.axis(cx.int("batch_axis", 1), x.rank())?;
        let time_axis = cx.axis(cx.int("time_axis", 0), x.rank())?;
        Ok(vec![cx.apply(ReverseRows { batch_axis, time_axis }, &[&x, &lengths], x.ty)?])
    }),
    on_host("Unique", "as many elements as there are different ones", |cx| {
        let x = cx.input(0)?;
        let axis = match cx.attribute("axis") {
            Some(_) => Some(cx.axis(cx.int("axis", 0), x.rank())?),
            None => None,
        };
        let sorted = cx.int("sorted", 1) != 0;
        let index = ElementType::Int64;
        cx.host_step(&[&x], &[x.ty, index, index, index], |t| {
            let found = unique(&t[0], axis, sorted)?;
            Ok(vec![found.values, found.indices, found.inverse, found.counts])
        })
    }),
];

fn suppress(cx: &mut Context) -> Traced<Vec<Value>> {
    let (boxes, scores) = (cx.input(0)?, cx.input(1)?);
    let most = match cx.optional(2) {
        Some(most) => cx.host_ints(&most)?.first().copied().unwrap_or(0),
        None => 0,
    };
    let mut threshold = |i: usize| -> Traced<Option<f32>> {
        match cx.optional(i) {
            Some(value) => Ok(cx.host_floats(&value)?.first().copied()),
            None => Ok(None),
        }
    };
    let (iou, score) = (threshold(3)?.unwrap_or(0.0), threshold(4)?);
    let center_point_box = cx.int("center_point_box", 0) != 0;
    let max_per_class = usize::try_from(most).unwrap_or(0);
    let keep = Suppression { max_per_class, iou, score, center_point_box };
    cx.host_step(&[&boxes, &scores], &[ElementType::Int64], |t| Ok(vec![non_max_suppression(&t[0], &t[1], &keep)?]))
}
