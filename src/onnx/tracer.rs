//! Builds the graph of one stage: operations on what the host knows are done at once, all others become nodes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::value::{Arrival, Constant, Content, Value, graph_type};
use crate::error::{Error, Result};
use crate::formats::ElementType;
use crate::graph::{Graph, GraphBuilder, ValueId};
use crate::ops::{Input, Op};
use crate::shape::{Dim, Shape, TensorType};
use crate::tensor::Tensor;

/// Elements of a constant that is computed while a model is traced, at most.
pub const MOST_FOLDED: usize = 1 << 28;

/// Why tracing a node ends early.
#[derive(Debug)]
pub enum Stop {
    /// It cannot be done.
    Error(Error),
    /// The stage must run first: the host needs values that its graph computes.
    Stage,
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Stop::Error(e)
    }
}

/// A result of tracing.
pub type Traced<T> = Result<T, Stop>;

/// Results of operations on lasting constants: the same in every trace of a model, so that they are computed and uploaded
/// once. They live as long as a stage that uses them.
#[derive(Default)]
pub struct Folds(Mutex<HashMap<(String, Vec<usize>), Fold>>);

struct Fold {
    /// The operands, whose places are part of the key: gone ones may have lost them to others.
    operands: Vec<Weak<Constant>>,
    results: Vec<(ElementType, Vec<usize>, Weak<Constant>)>,
}

impl Folds {
    fn find(&self, key: &(String, Vec<usize>)) -> Option<Vec<Value>> {
        let folds = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let fold = folds.get(key).filter(|f| f.operands.iter().all(|o| o.strong_count() > 0))?;
        let value = |(ty, shape, constant): &(ElementType, Vec<usize>, Weak<Constant>)| {
            Some(Value::new(*ty, shape.clone(), Content::Known(constant.upgrade()?)))
        };
        fold.results.iter().map(value).collect()
    }

    fn keep(&self, key: (String, Vec<usize>), operands: &[&Value], results: &[Value]) {
        let weak = |v: &Value| v.constant().map(Arc::downgrade).unwrap_or_default();
        let operands = operands.iter().map(|v| weak(v)).collect();
        let results = results.iter().map(|v| (v.ty, v.shape.clone(), weak(v))).collect();
        let mut folds = self.0.lock().unwrap_or_else(|e| e.into_inner());
        folds.retain(|_, f| f.results.iter().all(|(.., c)| c.strong_count() > 0));
        folds.insert(key, Fold { operands, results });
    }
}

/// What a graph input gets.
pub enum Source {
    /// What a run brings.
    Arrived(Arc<Arrival>),
    /// The same in every run of the stage: a constant of its shapes.
    Fixed(Arc<Tensor>),
}

impl Source {
    fn is(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::Arrived(a), Source::Arrived(b)) => Arc::ptr_eq(a, b),
            (Source::Fixed(a), Source::Fixed(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// The graph of a stage under construction.
pub struct Tracer {
    builder: GraphBuilder,
    folds: Arc<Folds>,
    /// Graph inputs: values that arrived, by the place of their elements, and constants that do not last.
    inputs: Vec<(Source, ValueId)>,
    constants: HashMap<usize, ValueId>,
    /// Constants that live as long as the stage: weights of its graph, and what tracing made of lasting constants.
    held: Vec<Arc<Constant>>,
    /// Arrived values whose elements decided about the graph.
    pub specialised: Vec<Arc<Arrival>>,
    nodes: usize,
    /// The node that is traced, and its place in the model.
    label: String,
    place: String,
}

impl Tracer {
    /// An empty stage.
    pub fn new(folds: Arc<Folds>) -> Self {
        Tracer {
            builder: GraphBuilder::new(),
            folds,
            inputs: Vec::new(),
            constants: HashMap::new(),
            held: Vec::new(),
            specialised: Vec::new(),
            nodes: 0,
            label: String::new(),
            place: String::new(),
        }
    }

    /// Begins the node at `place` of the model, which messages and names of values call `label`.
    pub fn begin(&mut self, label: String, place: String) {
        self.label = label;
        self.place = place;
    }

    /// The node that is traced.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether the stage's graph has no nodes yet.
    pub fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// The elements, where the host has them or can have them.
    ///
    /// # Errors
    /// [`Stop::Stage`] when the stage has to compute them first.
    pub fn host(&mut self, value: &Value) -> Traced<Arc<Tensor>> {
        match &value.content {
            Content::Known(constant) => Ok(constant.tensor()?),
            Content::Arrived(arrival) => {
                if !self.specialised.iter().any(|a| Arc::ptr_eq(a, arrival)) {
                    self.specialised.push(arrival.clone());
                }
                Ok(arrival.tensor()?)
            }
            _ => Err(Stop::Stage),
        }
    }

    /// The value as an operand of graph nodes.
    fn operand(&mut self, value: &Value) -> Result<ValueId> {
        let dtype = graph_type(value.ty)
            .ok_or_else(|| Error::Unsupported(format!("elements of {} in {}", value.ty.name(), self.label)))?;
        match &value.content {
            Content::Traced(id) => Ok(*id),
            Content::Known(constant) if constant.lasting => {
                let place = Arc::as_ptr(constant) as usize;
                if let Some(id) = self.constants.get(&place) {
                    return Ok(*id);
                }
                let weight = constant.weight()?;
                let id = self.builder.weight(format!("{} constant {}", self.label, self.constants.len()), weight);
                self.constants.insert(place, id);
                self.held.push(constant.clone());
                Ok(id)
            }
            Content::Known(constant) => Ok(self.input(Source::Fixed(constant.tensor()?), dtype, &value.shape)),
            Content::Arrived(arrival) => Ok(self.input(Source::Arrived(arrival.clone()), dtype, &value.shape)),
            Content::Pending(_) | Content::Passed(_) => Err(Error::invalid("trace", "a value of a stage that did not run")),
        }
    }

    fn input(&mut self, source: Source, dtype: crate::dtype::DType, shape: &[usize]) -> ValueId {
        if let Some((_, id)) = self.inputs.iter().find(|(s, _)| s.is(&source)) {
            return *id;
        }
        let id = self.builder.input(format!("input {}", self.inputs.len()), dtype, Shape::from(shape));
        self.inputs.push((source, id));
        id
    }

    /// Applies `op`; its outputs have the element types `types`. Done at once where the host knows all operands; results
    /// without elements are known whatever the operands are.
    ///
    /// # Errors
    /// [`Error::Shape`] when the operands do not fit, [`Error::Unsupported`] for element types that graphs do not hold.
    pub fn apply(&mut self, op: impl Into<Op>, operands: &[&Value], types: &[ElementType]) -> Result<Vec<Value>> {
        let op = op.into();
        let inputs: Vec<TensorType> = operands
            .iter()
            .map(|v| {
                let dtype =
                    graph_type(v.ty).ok_or_else(|| Error::Unsupported(format!("{} of elements of {}", op.name(), v.ty.name())));
                Ok(TensorType::new(dtype?, Shape::from(&v.shape[..])))
            })
            .collect::<Result<_>>()?;
        let outputs = op.rule().infer(&inputs.iter().collect::<Vec<_>>())?;
        let shape = |t: &TensorType| t.shape.0.iter().filter_map(Dim::constant).collect::<Vec<usize>>();
        let ty = |i: usize, t: &TensorType| {
            types.get(i).copied().unwrap_or(if t.dtype == crate::dtype::DType::I64 {
                ElementType::Int64
            } else {
                ElementType::Float
            })
        };
        if operands.iter().all(|v| v.constant().is_some()) {
            let count = |t: &TensorType| shape(t).iter().try_fold(1usize, |n, d| n.checked_mul(*d)).unwrap_or(usize::MAX);
            if outputs.iter().any(|t| count(t) > MOST_FOLDED) {
                return Err(Error::Unsupported(format!("a constant of {}", outputs[0])));
            }
            return self.fold(&op, operands, &outputs.iter().enumerate().map(|(i, t)| ty(i, t)).collect::<Vec<_>>());
        }
        if outputs.iter().all(|t| shape(t).contains(&0)) {
            let empty = |(i, t): (usize, &TensorType)| Ok(Value::known(ty(i, t), Tensor::zeros(t.dtype, &shape(t))?, false));
            return outputs.iter().enumerate().map(empty).collect();
        }
        if let Some(v) = operands.iter().find(|v| v.is_empty()) {
            return Err(Error::Unsupported(format!("{} of an operand of shape {:?}, which has no elements", op.name(), v.shape)));
        }
        let ids = operands.iter().map(|v| self.operand(v)).collect::<Result<Vec<_>>>()?;
        let label = self.label.clone();
        let made = self.builder.node(label, op, &ids)?;
        self.nodes += 1;
        let value = |(i, (t, id)): (usize, (&TensorType, ValueId))| Value::new(ty(i, t), shape(t), Content::Traced(id));
        Ok(outputs.iter().zip(made).enumerate().map(value).collect())
    }

    /// The result of an op of constants that is computed when its elements are first asked for: by the host, or by a graph that
    /// reads them.
    ///
    /// # Errors
    /// [`Error::Shape`] when the operands do not fit.
    pub fn defer(&mut self, op: impl Into<Op>, operands: &[(&Value, Arc<Constant>)], ty: ElementType) -> Result<Value> {
        let op = op.into();
        let of = |v: &Value| {
            let dtype = graph_type(v.ty).ok_or_else(|| Error::Unsupported(format!("elements of {}", v.ty.name())))?;
            Ok(TensorType::new(dtype, Shape::from(&v.shape[..])))
        };
        let types = operands.iter().map(|(v, _)| of(v)).collect::<Result<Vec<TensorType>>>()?;
        let outputs = op.rule().infer(&types.iter().collect::<Vec<_>>())?;
        let shape: Vec<usize> = outputs.iter().take(1).flat_map(|t| &t.shape.0).filter_map(Dim::constant).collect();
        let values: Vec<&Value> = operands.iter().map(|(v, _)| *v).collect();
        let made = self.remember(&format!("deferred {op:?}"), &values, |lasting| {
            let constants = operands.iter().map(|(_, c)| c.clone()).collect();
            let constant = Constant::deferred(op.clone(), constants, lasting);
            Ok(vec![Value::new(ty, shape, Content::Known(Arc::new(constant)))])
        })?;
        made.into_iter().next().ok_or_else(|| Error::invalid("trace", "an op without results"))
    }

    /// Computes an op on constants.
    fn fold(&mut self, op: &Op, operands: &[&Value], types: &[ElementType]) -> Result<Vec<Value>> {
        self.remember(&format!("{op:?}"), operands, |lasting| {
            let inputs = operands.iter().filter_map(|v| v.constant()).map(|c| c.tensor().map(Input::Tensor));
            let outputs = op.rule().reference(inputs.collect::<Result<_>>()?)?;
            Ok(outputs.into_iter().zip(types).map(|(t, ty)| Value::known(*ty, t, lasting)).collect())
        })
    }

    /// What `compute` makes of constants; done once for all traces where they are lasting, in which case `compute` is told
    /// so. `what` names the computation with all that decides about it.
    pub fn remember(
        &mut self,
        what: &str,
        from: &[&Value],
        compute: impl FnOnce(bool) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        if !from.iter().all(|v| v.is_lasting()) {
            return compute(false);
        }
        // A computation from nothing is the node's own.
        let what = if from.is_empty() { format!("{what} at {}", self.place) } else { what.to_owned() };
        let place = |v: &&Value| v.constant().map_or(0, |c| Arc::as_ptr(c) as usize);
        let key = (what, from.iter().map(place).collect());
        let values = match self.folds.find(&key) {
            Some(found) => found,
            None => {
                let values = compute(true)?;
                self.folds.keep(key, from, &values);
                values
            }
        };
        self.held.extend(values.iter().filter_map(|v| v.constant().cloned()));
        Ok(values)
    }

    /// The stage's graph with the given outputs, and the elements of its inputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the graph breaks a rule.
    pub fn finish(mut self, outputs: &[ValueId]) -> Result<(Graph, Vec<Source>, Vec<Arc<Constant>>)> {
        outputs.iter().for_each(|id| self.builder.output(*id));
        Ok((self.builder.finish()?, self.inputs.into_iter().map(|(t, _)| t).collect(), self.held))
    }
}
