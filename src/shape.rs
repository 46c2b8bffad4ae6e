//! Shapes: each dimension is a constant or one named symbol, bound to a number when a plan is compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};

/// One dimension of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A number known when the graph is built.
    Const(usize),
    /// A number known when a plan is compiled, for example the tokens of a step.
    Sym(Arc<str>),
}

impl Dim {
    /// The symbol called `name`.
    pub fn sym(name: &str) -> Self {
        Dim::Sym(name.into())
    }

    /// The constant, if it is one.
    pub fn constant(&self) -> Option<usize> {
        match self {
            Dim::Const(n) => Some(*n),
            Dim::Sym(_) => None,
        }
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Dim::Const(n)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Const(n) => write!(f, "{n}"),
            Dim::Sym(s) => f.write_str(s),
        }
    }
}

/// What the symbols of a graph stand for in one plan.
pub type Symbols = BTreeMap<Arc<str>, usize>;

/// A list of dimensions, outermost first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shape(pub Vec<Dim>);

impl Shape {
    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The last (fastest varying) dimension where it is constant.
    pub fn columns(&self) -> Option<usize> {
        self.0.last().and_then(Dim::constant)
    }

    /// The shape with every symbol replaced by its number.
    ///
    /// # Errors
    /// [`Error::Request`] when a symbol is unbound, a dimension is zero or the element count overflows.
    pub fn resolve(&self, symbols: &Symbols) -> Result<Vec<usize>> {
        let dims = self
            .0
            .iter()
            .map(|d| match d {
                Dim::Const(n) => Ok(*n),
                Dim::Sym(s) => {
                    symbols.get(s).copied().ok_or_else(|| Error::Request(format!("the dimension '{s}' of {self} is not bound")))
                }
            })
            .collect::<Result<Vec<usize>>>()?;
        if dims.contains(&0) {
            return Err(Error::Request(format!("a tensor of shape {self} would have no elements: it is {dims:?}")));
        }
        match dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).and_then(|n| n.checked_mul(4)) {
            Some(_) => Ok(dims),
            None => Err(Error::Request(format!("a tensor of shape {self} has more bytes than an address can name"))),
        }
    }
}

impl<const N: usize> From<[Dim; N]> for Shape {
    fn from(dims: [Dim; N]) -> Self {
        Shape(dims.into())
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape(dims.iter().map(|d| Dim::Const(*d)).collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            write!(f, "{}{d}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

/// Element type and shape of a graph value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        TensorType { dtype, shape: shape.into() }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
