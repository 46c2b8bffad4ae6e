//! What the tracer knows of a value: its type, its exact shape, and where its elements are.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::formats::ElementType;
use crate::formats::onnx::OnnxTensor;
use crate::gpu::Located;
use crate::graph::ValueId;
use crate::ops::{Input, Op};
use crate::tensor::{Data, Tensor, Weight};

/// A tensor with the element type that ONNX gives it: [`crate::tensor::Data::F32`] holds all its floats, `I64` all its integers
/// and truth values.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The element type.
    pub ty: ElementType,
    /// The elements.
    pub tensor: Tensor,
}

/// A tensor with the element type that ONNX gives it, on the host or on a device: what one run leaves there, another can take.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The element type.
    pub ty: ElementType,
    /// The elements.
    pub value: Located,
}

impl From<Array> for Placed {
    fn from(array: Array) -> Self {
        Placed { ty: array.ty, value: array.tensor.into() }
    }
}

impl Placed {
    /// The elements on the host, brought there where they are not.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails or is lost.
    pub fn to_host(&self) -> Result<Array> {
        let mut tensor = Arc::unwrap_or_clone(self.value.to_host()?);
        // What a device holds of integers from 2^31 up is negative there.
        if let (ElementType::Uint32, Data::I64(v)) = (self.ty, tensor.data_mut()) {
            v.iter_mut().for_each(|n| *n = i64::from(*n as u32));
        }
        Ok(Array { ty: self.ty, tensor })
    }
}

/// Elements that a run brought, wherever they are; the host has them from when it first asks.
#[derive(Debug)]
pub struct Arrival {
    value: Located,
    host: OnceLock<Arc<Tensor>>,
}

impl Arrival {
    /// Elements at their place.
    pub fn new(value: Located) -> Arc<Self> {
        Arc::new(Arrival { value, host: OnceLock::new() })
    }

    /// The elements at their place.
    pub fn value(&self) -> &Located {
        &self.value
    }

    /// The elements on the host.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails or is lost.
    pub fn tensor(&self) -> Result<Arc<Tensor>> {
        if let Some(tensor) = self.host.get() {
            return Ok(tensor.clone());
        }
        let tensor = self.value.to_host()?;
        Ok(self.host.get_or_init(|| tensor).clone())
    }
}

/// The element type of a graph's values for elements of that type, if graphs can hold them.
pub fn graph_type(ty: ElementType) -> Option<DType> {
    match () {
        () if ty.is_float() => Some(DType::F32),
        () if ty.is_integer() => Some(DType::I64),
        () => None,
    }
}

/// An op of constants that is computed when its elements are first asked for.
#[derive(Debug)]
struct Deferred {
    op: Op,
    operands: Vec<Arc<Constant>>,
}

impl Deferred {
    fn compute(&self) -> Result<Tensor> {
        let operands = self.operands.iter().map(|c| c.tensor().map(Input::Tensor)).collect::<Result<_>>()?;
        let results = self.op.rule().reference(operands)?;
        results.into_iter().next().ok_or_else(|| Error::invalid("constant", "an op without results"))
    }
}

/// A value whose elements the host knows while it traces.
#[derive(Debug)]
pub struct Constant {
    tensor: OnceLock<Arc<Tensor>>,
    weight: OnceLock<Weight>,
    file: Option<OnnxTensor>,
    deferred: Option<Deferred>,
    /// Whether it depends on nothing but the model's file, and so is the same in every run.
    pub lasting: bool,
}

impl Constant {
    /// A constant of the file.
    pub fn from_file(tensor: OnnxTensor) -> Self {
        Constant { file: Some(tensor), ..Constant::empty(true) }
    }

    /// A computed constant.
    pub fn new(tensor: Arc<Tensor>, lasting: bool) -> Self {
        Constant { tensor: OnceLock::from(tensor), ..Constant::empty(lasting) }
    }

    /// A computed weight, packed or not.
    pub fn packed(weight: Weight, lasting: bool) -> Self {
        Constant { weight: OnceLock::from(weight), ..Constant::empty(lasting) }
    }

    /// The result of an op of constants, computed when it is first asked for.
    pub fn deferred(op: Op, operands: Vec<Arc<Constant>>, lasting: bool) -> Self {
        Constant { deferred: Some(Deferred { op, operands }), ..Constant::empty(lasting) }
    }

    fn empty(lasting: bool) -> Self {
        Constant { tensor: OnceLock::new(), weight: OnceLock::new(), file: None, deferred: None, lasting }
    }

    /// The elements, little-endian and packed as the file has them, of a constant of type `ty`.
    ///
    /// # Errors
    /// As [`Constant::tensor`].
    pub fn bytes(&self, ty: ElementType) -> Result<Cow<'_, [u8]>> {
        match &self.file {
            Some(file) => Ok(Cow::Borrowed(file.raw())),
            None => Ok(Cow::Owned(ty.encode(self.tensor()?.data())?)),
        }
    }

    /// The elements.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for element types that cannot be computed with.
    pub fn tensor(&self) -> Result<Arc<Tensor>> {
        if let Some(tensor) = self.tensor.get() {
            return Ok(tensor.clone());
        }
        let tensor = match (&self.file, self.weight.get(), &self.deferred) {
            (Some(file), ..) => file.to_tensor()?,
            (None, Some(weight), _) => weight.to_tensor()?,
            (None, None, Some(deferred)) => deferred.compute()?,
            (None, None, None) => Tensor::f32(&[0], Vec::new())?,
        };
        Ok(self.tensor.get_or_init(|| Arc::new(tensor)).clone())
    }

    /// The same as a weight; floats of the file are not copied.
    ///
    /// # Errors
    /// As [`Constant::tensor`].
    pub fn weight(&self) -> Result<Weight> {
        if let Some(weight) = self.weight.get() {
            return Ok(weight.clone());
        }
        let shared = self.file.as_ref().and_then(|file| {
            let dtype = match file.ty() {
                ElementType::Float => DType::F32,
                ElementType::Float16 => DType::F16,
                ElementType::Bfloat16 => DType::BF16,
                _ => return None,
            };
            let (owner, range) = file.bytes()?;
            Some(Weight::new(dtype, file.shape(), owner, range))
        });
        let weight = match shared {
            Some(weight) => weight?,
            None => Weight::from_tensor(self.tensor()?)?,
        };
        Ok(self.weight.get_or_init(|| weight).clone())
    }
}

/// Where a value's elements are.
#[derive(Clone, Debug)]
pub enum Content {
    /// The host knows them, and every run of the stage has the same.
    Known(Arc<Constant>),
    /// A value of the stage's graph.
    Traced(ValueId),
    /// Earlier stages, a host step or the caller left them; each run has others.
    Arrived(Arc<Arrival>),
    /// Output of that number of a stage that was not run yet.
    Pending(usize),
    /// What the value of that number at the stage's beginning has.
    Passed(usize),
}

/// A value while a model is traced.
#[derive(Clone, Debug)]
pub struct Value {
    /// The element type.
    pub ty: ElementType,
    /// The dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Where the elements are.
    pub content: Content,
    /// What the elements were before they were dequantised, where that is known.
    pub quantized: Option<Arc<Quantized>>,
}

/// What `(elements - zero_point) * scale` was made of.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The integers.
    pub elements: Value,
    /// One number, or one for each place of `axis`.
    pub scale: Value,
    /// Likewise; 0 where there is none.
    pub zero_point: Option<Value>,
    /// The dimension along which scales and zero points change.
    pub axis: usize,
}

impl Value {
    /// A value whose elements are at `content`.
    pub fn new(ty: ElementType, shape: Vec<usize>, content: Content) -> Self {
        Value { ty, shape, content, quantized: None }
    }

    /// A value that the host knows.
    pub fn known(ty: ElementType, tensor: Tensor, lasting: bool) -> Self {
        let shape = tensor.shape().to_vec();
        Value::new(ty, shape, Content::Known(Arc::new(Constant::new(Arc::new(tensor), lasting))))
    }

    /// A value that a run brings. One without elements is the same in all runs.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when a tensor without elements cannot be read.
    pub fn arrived(ty: ElementType, value: Located) -> Result<Self> {
        let shape = value.shape().to_vec();
        if shape.contains(&0) {
            return Ok(Value::known(ty, Arc::unwrap_or_clone(value.to_host()?), false));
        }
        Ok(Value::new(ty, shape, Content::Arrived(Arrival::new(value))))
    }

    /// A weight, or words of bytes, that the host made for a product.
    pub fn packed(weight: Weight, lasting: bool) -> Self {
        let shape = weight.shape().to_vec();
        let ty = if weight.dtype() == DType::I64 { ElementType::Int32 } else { ElementType::Float };
        Value::new(ty, shape, Content::Known(Arc::new(Constant::packed(weight, lasting))))
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The constant, where the host knows the elements.
    pub fn constant(&self) -> Option<&Arc<Constant>> {
        match &self.content {
            Content::Known(constant) => Some(constant),
            _ => None,
        }
    }

    /// Whether the value depends on nothing but the model's file.
    pub fn is_lasting(&self) -> bool {
        self.constant().is_some_and(|c| c.lasting)
    }
}
