//! What the translation of one node sees: its attributes, its operands, and ways to compute with them.

use std::sync::Arc;

use super::tracer::{Stop, Traced, Tracer};
use super::value::{Constant, Content, Value};
use crate::error::{Error, Result};
use crate::formats::ElementType;
use crate::formats::onnx::{Attribute, Node};
use crate::kernel::Expr;
use crate::kernel::expr::{Function, Operator};
use crate::ops::{Elementwise, Op, Reshape, View};
use crate::tensor::{Data, Tensor, Weight};

/// The node that is traced.
pub struct Context<'a> {
    /// The node.
    pub node: &'a Node,
    inputs: Vec<Option<Value>>,
    tracer: &'a mut Tracer,
    /// Values that a host step left.
    pub host_step: bool,
}

impl<'a> Context<'a> {
    /// The context of `node`, whose operands are `inputs`.
    pub fn new(node: &'a Node, inputs: Vec<Option<Value>>, tracer: &'a mut Tracer) -> Self {
        Context { node, inputs, tracer, host_step: false }
    }

    /// An error about this node.
    pub fn error(&self, what: impl Into<String>) -> Stop {
        Stop::Error(Error::shape(self.tracer.label(), what))
    }

    /// An error that says what this version does not do.
    pub fn unsupported(&self, what: impl std::fmt::Display) -> Stop {
        Stop::Error(Error::Unsupported(format!("{what}, in {}", self.tracer.label())))
    }

    // ---- attributes

    /// The version of the operator set that the node is written for.
    pub fn opset(&self) -> i64 {
        self.node.opset
    }

    /// The attribute, if the node has it.
    pub fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attributes.get(name)
    }

    /// The integer attribute, or `default`.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.attribute(name) {
            Some(Attribute::Int(n)) => *n,
            _ => default,
        }
    }

    /// The float attribute, or `default`.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        match self.attribute(name) {
            Some(Attribute::Float(x)) => *x,
            _ => default,
        }
    }

    /// The text attribute, or `default`.
    pub fn text(&self, name: &str, default: &'a str) -> &'a str {
        match self.attribute(name) {
            Some(Attribute::String(s)) => std::str::from_utf8(s).unwrap_or(default),
            _ => default,
        }
    }

    /// The list of integers, if the node has it.
    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        match self.attribute(name) {
            Some(Attribute::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// The list of floats, if the node has it.
    pub fn floats(&self, name: &str) -> Option<&'a [f32]> {
        match self.attribute(name) {
            Some(Attribute::Floats(v)) => Some(v),
            _ => None,
        }
    }

    /// The element type that an attribute names by its number, if the node has it.
    pub fn type_attribute(&self, name: &str) -> Traced<Option<ElementType>> {
        match self.attribute(name) {
            Some(Attribute::Int(n)) => {
                let ty = i32::try_from(*n).ok().and_then(ElementType::from_onnx);
                ty.map(Some).ok_or_else(|| self.error(format!("'{name}' is the unknown element type {n}")))
            }
            _ => Ok(None),
        }
    }

    /// `axis` counted from the front, for values of `rank` dimensions; negative ones count from the end.
    pub fn axis(&self, axis: i64, rank: usize) -> Traced<usize> {
        let from_front = if axis < 0 { axis + rank as i64 } else { axis };
        let found = usize::try_from(from_front).ok().filter(|a| *a < rank);
        found.ok_or_else(|| self.error(format!("axis {axis} of {rank} dimensions")))
    }

    /// As [`Context::axis`], of several; sorted and without doubles.
    pub fn axes(&self, axes: &[i64], rank: usize) -> Traced<Vec<usize>> {
        let mut found = axes.iter().map(|a| self.axis(*a, rank)).collect::<Traced<Vec<_>>>()?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    // ---- operands

    /// The number of operands, left out ones at the end not counted.
    pub fn count(&self) -> usize {
        self.inputs.iter().rposition(Option::is_some).map_or(0, |i| i + 1)
    }

    /// All operands.
    pub fn all(&self) -> Traced<Vec<Value>> {
        (0..self.count()).map(|i| self.input(i)).collect()
    }

    /// Operand `i`.
    ///
    /// # Errors
    /// [`Error::Shape`] when it is left out.
    pub fn input(&self, i: usize) -> Traced<Value> {
        self.optional(i).ok_or_else(|| self.error(format!("operand {i} is missing")))
    }

    /// Operand `i`, if there is one.
    pub fn optional(&self, i: usize) -> Option<Value> {
        self.inputs.get(i).cloned().flatten()
    }

    /// Whether result `i` is wanted.
    pub fn wants(&self, i: usize) -> bool {
        self.node.outputs.get(i).is_some_and(|name| !name.is_empty())
    }

    /// The elements, which shapes or control flow depend on.
    ///
    /// # Errors
    /// [`Stop::Stage`] when the stage has to compute them first.
    pub fn host(&mut self, value: &Value) -> Traced<Arc<Tensor>> {
        self.tracer.host(value)
    }

    /// The elements as integers; see [`Context::host`].
    pub fn host_ints(&mut self, value: &Value) -> Traced<Vec<i64>> {
        let tensor = self.host(value)?;
        match tensor.data() {
            Data::I64(v) => Ok(v.clone()),
            _ => Err(self.error("an operand should be integers")),
        }
    }

    /// The elements as floats; see [`Context::host`].
    pub fn host_floats(&mut self, value: &Value) -> Traced<Vec<f32>> {
        Ok(self.host(value)?.to_f32())
    }

    /// The integers of operand `i`, or of the attribute `name` that older versions have in its place.
    pub fn ints_of(&mut self, i: usize, name: &str) -> Traced<Option<Vec<i64>>> {
        match (self.optional(i), self.ints(name)) {
            (Some(value), _) => self.host_ints(&value).map(Some),
            (None, Some(list)) => Ok(Some(list.to_vec())),
            (None, None) => Ok(None),
        }
    }

    /// A step that the host takes because the shape of its result depends on the elements. It runs at the beginning of a
    /// stage, and what it leaves is as a stage finds what the caller passes.
    ///
    /// # Errors
    /// [`Stop::Stage`] when the stage has to run first; those of `compute`.
    pub fn host_step(
        &mut self,
        operands: &[&Value],
        types: &[ElementType],
        compute: impl FnOnce(&[Arc<Tensor>]) -> Result<Vec<Tensor>>,
    ) -> Traced<Vec<Value>> {
        let lasting = operands.iter().all(|v| v.is_lasting());
        let known = operands.iter().all(|v| v.constant().is_some());
        if !known && !self.tracer.is_empty() {
            return Err(Stop::Stage);
        }
        let mut tensors = Vec::new();
        for value in operands {
            tensors.push(match &value.content {
                Content::Known(constant) => constant.tensor()?,
                Content::Arrived(arrival) => arrival.tensor()?,
                _ => return Err(Stop::Stage),
            });
        }
        let results = compute(&tensors)?;
        self.host_step |= !known;
        let value = |(t, ty): (Tensor, &ElementType)| match known {
            true => Ok(Value::known(*ty, t, lasting)),
            false => Ok(Value::arrived(*ty, t.into())?),
        };
        results.into_iter().zip(types).map(value).collect()
    }

    // ---- computing

    /// Applies a graph op whose first result is wanted, of type `ty`.
    pub fn apply(&mut self, op: impl Into<Op>, operands: &[&Value], ty: ElementType) -> Traced<Value> {
        let values = self.apply_all(op, operands, &[ty])?;
        values.into_iter().next().ok_or_else(|| self.error("an op without results"))
    }

    /// Applies a graph op with several results.
    pub fn apply_all(&mut self, op: impl Into<Op>, operands: &[&Value], types: &[ElementType]) -> Traced<Vec<Value>> {
        self.tracer.apply(op, operands, types).map_err(|e| match e {
            Error::Shape { op, what } => Stop::Error(Error::shape(format!("{}: {op}", self.tracer.label()), what)),
            other => Stop::Error(other),
        })
    }

    /// As [`Context::apply`]; of constants the elements are computed when they are first asked for.
    pub fn apply_late(&mut self, op: impl Into<Op>, operands: &[&Value], ty: ElementType) -> Traced<Value> {
        match operands.iter().map(|v| Some((*v, v.constant()?.clone()))).collect::<Option<Vec<_>>>() {
            Some(constants) => Ok(self.tracer.defer(op, &constants, ty)?),
            None => self.apply(op, operands, ty),
        }
    }

    /// Constants computed from `from` by the host, once for all runs where they depend on the model's file alone. `what` names
    /// the computation with all that decides about it.
    ///
    /// # Errors
    /// [`Error::Shape`] when `from` are not constants.
    pub fn derive(
        &mut self,
        what: &str,
        from: &[&Value],
        compute: impl FnOnce(&[Arc<Tensor>]) -> Result<Vec<(ElementType, Tensor)>>,
    ) -> Traced<Vec<Value>> {
        let Some(constants) = from.iter().map(|v| v.constant().cloned()).collect::<Option<Vec<_>>>() else {
            return Err(self.error("expected constants"));
        };
        Ok(self.tracer.remember(what, from, |lasting| {
            let tensors = constants.iter().map(|c| c.tensor()).collect::<Result<Vec<_>>>()?;
            Ok(compute(&tensors)?.into_iter().map(|(ty, t)| Value::known(ty, t, lasting)).collect())
        })?)
    }

    /// A weight computed from the constants `from` by the host; as [`Context::derive`].
    ///
    /// # Errors
    /// [`Error::Shape`] when `from` are not constants.
    pub fn derive_weight(
        &mut self,
        what: &str,
        from: &[&Value],
        compute: impl FnOnce(&[Arc<Constant>]) -> Result<Weight>,
    ) -> Traced<Value> {
        let Some(constants) = from.iter().map(|v| v.constant().cloned()).collect::<Option<Vec<_>>>() else {
            return Err(self.error("expected constants"));
        };
        let make = |lasting| Ok(vec![Value::packed(compute(&constants)?, lasting)]);
        self.tracer.remember(what, from, make)?.pop().ok_or_else(|| self.error("no weight"))
    }

    /// A constant of the node's own: the same in all runs.
    pub fn lasting(&mut self, make: impl FnOnce() -> Result<Value>) -> Traced<Value> {
        let mut made = self.tracer.remember("constant", &[], |_| Ok(vec![make()?]))?;
        made.pop().ok_or_else(|| self.error("no constant"))
    }

    /// A constant that is the same in every run of the stage.
    pub fn constant(&self, ty: ElementType, tensor: Tensor) -> Value {
        Value::known(ty, tensor, false)
    }

    /// A list of integers as a constant of rank 1.
    pub fn int_list(&self, values: Vec<i64>) -> Traced<Value> {
        Ok(self.constant(ElementType::Int64, Tensor::i64(&[values.len()], values)?))
    }

    /// A list of floats as a constant of that shape.
    pub fn float_list(&self, shape: &[usize], values: Vec<f32>) -> Traced<Value> {
        Ok(self.constant(ElementType::Float, Tensor::f32(shape, values)?))
    }

    /// A float expression of operands that are broadcast.
    pub fn elementwise(&mut self, expr: Expr, operands: &[&Value], ty: ElementType) -> Traced<Value> {
        self.apply(Elementwise::from(expr), operands, ty)
    }

    /// `function(x)`, of x's element type.
    pub fn call(&mut self, function: Function, x: &Value) -> Traced<Value> {
        self.elementwise(Expr::call(function, Expr::operand(0)), &[x], x.ty)
    }

    /// `operator(a, b)`, of a's element type.
    pub fn binary(&mut self, operator: Operator, a: &Value, b: &Value) -> Traced<Value> {
        self.elementwise(Expr::binary(operator, Expr::operand(0), Expr::operand(1)), &[a, b], a.ty)
    }

    /// The elements in another shape.
    pub fn reshape(&mut self, x: &Value, shape: &[usize]) -> Traced<Value> {
        if x.shape == shape {
            return Ok(x.clone());
        }
        self.apply(Reshape { shape: shape.to_vec() }, &[x], x.ty)
    }

    /// Dimension `d` of the result is dimension `order[d]` of `x`.
    pub fn transpose(&mut self, x: &Value, order: &[usize]) -> Traced<Value> {
        let moved: Vec<usize> = order.iter().copied().filter(|d| x.shape.get(*d).is_some_and(|n| *n != 1)).collect();
        // Where only dimensions of 1 move, no element does.
        if moved.is_sorted() {
            let shape: Vec<usize> = order.iter().filter_map(|d| x.shape.get(*d).copied()).collect();
            return self.reshape(x, &shape);
        }
        self.apply(View::transpose(&x.shape, order), &[x], x.ty)
    }

    /// `x` repeated along dimensions of 1, and along new leading ones, so that it has `shape`.
    pub fn expand(&mut self, x: &Value, shape: &[usize]) -> Traced<Value> {
        if x.shape == shape {
            return Ok(x.clone());
        }
        let skipped =
            shape.len().checked_sub(x.rank()).ok_or_else(|| self.error(format!("{:?} cannot become {shape:?}", x.shape)))?;
        let aligned: Vec<usize> = std::iter::repeat_n(1, skipped).chain(x.shape.iter().copied()).collect();
        let mut view = View::of(&aligned);
        for (axis, (from, to)) in view.axes.iter_mut().zip(aligned.iter().zip(shape)) {
            match (*from, *to) {
                (from, to) if from == to => {}
                (1, to) => (axis.len, axis.step) = (to, 0),
                _ => return Err(self.error(format!("{:?} cannot become {shape:?}", x.shape))),
            }
        }
        self.apply(view, &[x], x.ty)
    }

    /// The run `start .. start + len` of dimension `axis`.
    pub fn slice(&mut self, x: &Value, axis: usize, start: usize, len: usize) -> Traced<Value> {
        if start == 0 && x.shape.get(axis) == Some(&len) {
            return Ok(x.clone());
        }
        let mut view = View::of(&x.shape);
        let Some(of) = view.axes.get_mut(axis) else {
            return Err(self.error(format!("{:?} has no dimension {axis}", x.shape)));
        };
        (of.start, of.len) = (start as i64, len);
        self.apply(view, &[x], x.ty)
    }
}
