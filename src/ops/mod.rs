//! Every op: its shape rule, its CPU reference, the error a device may have, and its lowering to kernels.
//!
//! An op has one home: `src/ops/<op>.rs`, its shaders (whose names begin with the op's, but for `mat_vec*` and those that ops share) and one
//! line of the `ops!` list below. The reference is the definition: written to be read, accumulating in f32 one after another, in f64 where
//! f32 would drift; kernels are tested against it.

mod arg_max;
mod arg_reduce;
mod attention;
mod batch_mat_mul;
pub mod byte_mat_mul;
mod byte_windows;
pub mod cache_write;
mod col2im;
mod columns;
mod concat;
pub mod conv;
mod conv_transpose;
mod cumulative;
mod deform_columns;
pub mod dense_attention;
mod determinant;
pub mod elementwise;
mod embed;
mod fold;
mod gather;
mod gather_elements;
mod gather_nd;
mod gather_rows;
pub mod grid_sample;
pub mod host;
mod indexing;
pub mod lowering;
mod mat_mul;
mod nll;
mod normalize;
pub mod pack_bytes;
pub mod pool;
mod quantize_rows;
mod quantized_mat_mul;
pub mod random;
mod reduce;
mod resample;
pub mod resample_taps;
mod reshape;
mod reverse_rows;
mod rms_norm;
pub mod roi_align;
pub mod rope;
mod rope_cache;
pub mod scatter;
mod scatter_elements;
mod scatter_nd;
mod softmax;
mod strided;
pub mod tail;
mod top_elements;
mod top_k;
pub mod view;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use arg_max::ArgMax;
pub use arg_reduce::ArgReduce;
pub use attention::Attention;
pub use batch_mat_mul::BatchMatMul;
pub use byte_mat_mul::ByteMatMul;
pub use byte_windows::ByteWindows;
pub use cache_write::CacheWrite;
pub use col2im::Col2Im;
pub use concat::Concat;
pub use conv::Conv;
pub use conv_transpose::ConvTranspose;
pub use cumulative::Cumulative;
pub use deform_columns::DeformColumns;
pub use dense_attention::DenseAttention;
pub use determinant::Determinant;
pub use elementwise::Elementwise;
pub use embed::Embed;
pub use fold::Reduction;
pub use gather::Gather;
pub use gather_elements::GatherElements;
pub use gather_nd::GatherNd;
pub use gather_rows::GatherRows;
pub use grid_sample::GridSample;
pub use lowering::{Lowering, Operand};
pub use mat_mul::MatMul;
pub use nll::Nll;
pub use normalize::{Norm, Normalize};
pub use pack_bytes::PackBytes;
pub use pool::Pool;
pub use quantize_rows::QuantizeRows;
pub use quantized_mat_mul::QuantizedMatMul;
pub use random::Random;
pub use reduce::Reduce;
pub use resample::Resample;
pub use reshape::Reshape;
pub use reverse_rows::ReverseRows;
pub use rms_norm::RmsNorm;
pub use roi_align::RoiAlign;
pub use rope::{Pairing, Rope};
pub use rope_cache::RopeCache;
pub use scatter_elements::ScatterElements;
pub use scatter_nd::ScatterNd;
pub use softmax::Softmax;
pub use strided::Strided;
pub use top_elements::TopElements;
pub use top_k::TopK;
pub use view::View;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Extremes;
use crate::kernel::expr::Kind;
use crate::shape::TensorType;
use crate::tensor::{Tensor, Weight};

/// An operand of a reference computation. A tensor that nobody else holds may be changed in place.
#[derive(Clone, Debug)]
pub enum Input {
    /// A dense value.
    Tensor(Arc<Tensor>),
    /// A weight in the layout of its file.
    Weight(Weight),
}

impl Input {
    /// The dense tensor.
    ///
    /// # Errors
    /// [`Error::Shape`] when it is a weight.
    pub fn tensor(&self) -> Result<&Tensor> {
        match self {
            Input::Tensor(t) => Ok(t),
            Input::Weight(w) => Err(Error::shape("operand", format!("expected a tensor, found {w:?}"))),
        }
    }

    /// The weight.
    ///
    /// # Errors
    /// [`Error::Shape`] when it is a dense tensor.
    pub fn weight(&self) -> Result<&Weight> {
        match self {
            Input::Weight(w) => Ok(w),
            Input::Tensor(t) => Err(Error::shape("operand", format!("expected a weight, found a tensor {:?}", t.shape()))),
        }
    }

    /// The dense values, whichever it is.
    ///
    /// # Errors
    /// [`Error::Shape`] when a weight cannot be read.
    pub fn dense(&self) -> Result<Cow<'_, Tensor>> {
        match self {
            Input::Tensor(t) => Ok(Cow::Borrowed(t)),
            Input::Weight(w) => w.to_tensor().map(Cow::Owned),
        }
    }

    /// The values as f32, whichever it is.
    ///
    /// # Errors
    /// [`Error::Shape`] when a weight cannot be read.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        match self {
            Input::Tensor(t) => Ok(t.to_f32()),
            Input::Weight(w) => w.to_f32(),
        }
    }
}

impl From<Tensor> for Input {
    fn from(tensor: Tensor) -> Self {
        Input::Tensor(Arc::new(tensor))
    }
}

/// How far an output of a device may be from the reference's.
#[derive(Clone, Debug, PartialEq)]
pub enum Tolerance {
    /// Every element must be the same.
    Exact,
    /// The largest absolute difference of each element.
    Absolute(Vec<f32>),
    /// The largest absolute difference of each of the bytes that words hold, four to each.
    Bytes(Vec<f32>),
}

/// Half the distance from 1 to the next f32: the relative error of one rounding.
pub const ROUNDING: f32 = f32::EPSILON / 2.0;

/// The relative error that a sum of `n` rounded terms may have against its sum of magnitudes.
///
/// Roundings of unlike sign cancel: the error of a sum in any order stays below `c sqrt(n)` roundings except with
/// negligible probability (Higham and Mary 2019, doi:10.1137/18M1226312); `c` is 4 here, on each of the two sides
/// that are compared, and small sums get the certain bound `n`.
pub fn sum_error(n: usize) -> f32 {
    2.0 * ROUNDING * (n as f32 + 2.0).min(4.0 * (n as f32).sqrt() + 4.0)
}

/// What every op answers. `inputs` are always in the op's documented order.
pub trait Rule {
    /// The types of the outputs.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the operand that does not fit.
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>>;

    /// The outputs, on the CPU.
    ///
    /// # Errors
    /// [`Error::Shape`] when the operands are not what [`Rule::infer`] accepted.
    fn reference(&self, inputs: Vec<Input>) -> Result<Vec<Tensor>>;

    /// How far a device's outputs may be from `outputs`, the reference's.
    ///
    /// # Errors
    /// As [`Rule::reference`].
    fn tolerance(&self, inputs: &[Input], outputs: &[Tensor]) -> Result<Vec<Tolerance>>;

    /// What is promised of operands with extreme numbers.
    fn extremes(&self) -> Extremes {
        Extremes::Unspecified
    }

    /// Writes the dispatches that compute the op.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when no kernel can do it within the device's limits.
    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()>;

    /// Outputs that take over the storage of an input, each with that input, for ops that update states.
    fn updates(&self) -> &'static [(usize, usize)] {
        &[]
    }

    /// The input whose elements, in whose place, output 0 is.
    fn aliases(&self) -> Option<usize> {
        None
    }

    /// The dimension along which output 0 is the inputs one after another, unchanged.
    fn joins(&self) -> Option<usize> {
        None
    }

    /// What operand `operand`, of integers, may hold as its element `element` when an example of the op is made up. Where the
    /// reference refuses it, all are zero.
    fn example_index(&self, _inputs: &[Vec<usize>], operand: usize, element: usize) -> usize {
        (7 * element + operand) % 11
    }

    /// What operand `operand`, of floats, may hold instead of the made-up number `x` of [-1, 1) so that the op is defined there.
    fn example_number(&self, _operand: usize, x: f32) -> f32 {
        x
    }

    /// Shapes of operands from which the same kernels make about half as much, for an example that the reference must be done with
    /// soon; none where nothing can be taken away. Weights lose their last rows.
    fn halved(&self, _inputs: &[Vec<usize>], _output: &[usize]) -> Option<Vec<Vec<usize>>> {
        None
    }

    /// Arithmetic operations for operands of these shapes, for profiles and for bounding the time of submits.
    fn flops(&self, inputs: &[Vec<usize>], outputs: &[Vec<usize>]) -> u64;

    /// What a run does, for ops whose part of their states hangs on elements of operands: `known` has those that are known before the
    /// run. None where too few are, and for ops without states.
    fn state_work(&self, _inputs: &[Vec<usize>], _known: &dyn Fn(usize) -> Option<Vec<u32>>) -> Option<StateWork> {
        None
    }
}

/// What a run of an op with states does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateWork {
    /// Arithmetic operations.
    pub flops: u64,
    /// Elements of states that must be read or written.
    pub elements: u64,
}

macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        /// What a node computes. Closed, so that passes can match on it.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Op { $($name($name)),* }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Self { Op::$name(op) }
        })*

        impl Op {
            /// The names of all ops.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The op's name.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name(_) => stringify!($name)),* }
            }

            /// The op's answers.
            pub fn rule(&self) -> &dyn Rule {
                match self { $(Op::$name(op) => op),* }
            }
        }

        impl fmt::Display for Op {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Op::$name(op) => write!(f, "{op:?}")),* }
            }
        }
    };
}

ops! {
    ArgMax,
    ArgReduce,
    Attention,
    BatchMatMul,
    ByteMatMul,
    ByteWindows,
    CacheWrite,
    Col2Im,
    Concat,
    Conv,
    ConvTranspose,
    Cumulative,
    DeformColumns,
    DenseAttention,
    Determinant,
    Elementwise,
    Embed,
    Gather,
    GatherElements,
    GatherNd,
    GatherRows,
    GridSample,
    MatMul,
    Nll,
    Normalize,
    PackBytes,
    Pool,
    QuantizeRows,
    QuantizedMatMul,
    Random,
    Reduce,
    Resample,
    Reshape,
    ReverseRows,
    RmsNorm,
    RoiAlign,
    Rope,
    RopeCache,
    ScatterElements,
    ScatterNd,
    Softmax,
    TopElements,
    TopK,
    View,
}

/// What elements of that type are in expressions.
fn kind(dtype: DType) -> Kind {
    if dtype == DType::I64 { Kind::Int } else { Kind::Float }
}

/// What the elements of an operand are in expressions.
fn kind_of(op: &str, t: &TensorType) -> Result<Kind> {
    match t.dtype {
        DType::F32 => Ok(Kind::Float),
        DType::I64 => Ok(Kind::Int),
        _ => Err(Error::shape(op, format!("an operand is {t}, expected f32 or i64"))),
    }
}

/// The operands, when there are exactly `N`.
fn operands<const N: usize, T>(op: &str, inputs: Vec<T>) -> Result<[T; N]> {
    let found = inputs.len();
    inputs.try_into().map_err(|_| Error::shape(op, format!("takes {N} operands, got {found}")))
}

/// Refuses operand `name` unless it has the element type and the rank.
fn expect(op: &str, name: &str, t: &TensorType, dtype: DType, rank: usize) -> Result<()> {
    if t.dtype == dtype && t.shape.rank() == rank {
        return Ok(());
    }
    Err(Error::shape(op, format!("operand '{name}' is {t}, expected {dtype} of rank {rank}")))
}
