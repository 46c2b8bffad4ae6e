//! A dense value in a buffer of its own on a device: what one run leaves there for the next.

use std::fmt;
use std::sync::Arc;

use super::Gpu;
use super::memory::{Buffer, Purpose};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A dense tensor on a device. Cloning shares it.
#[derive(Clone)]
pub struct DeviceTensor {
    gpu: Gpu,
    buffer: Buffer,
    dtype: DType,
    shape: Vec<usize>,
}

impl DeviceTensor {
    /// Brings a tensor to a device.
    ///
    /// # Errors
    /// [`Error::Device`] when it runs out of memory; [`Error::Unsupported`] for integers that need more than 32 bits.
    pub fn upload(gpu: &Gpu, tensor: &Tensor) -> Result<Self> {
        let on_device = DeviceTensor::uninitialised(gpu, tensor.dtype(), tensor.shape())?;
        let mut bytes = tensor.to_device()?.into_owned();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        gpu.write("uploading a tensor", &on_device.buffer, 0, &bytes)?;
        Ok(on_device)
    }

    /// A tensor whose elements a run will write.
    pub(super) fn uninitialised(gpu: &Gpu, dtype: DType, shape: &[usize]) -> Result<Self> {
        let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu.buffer(Purpose::Other, "a tensor", dtype.device_bytes(shape.iter().product()), usage)?;
        Ok(DeviceTensor { gpu: gpu.clone(), buffer, dtype, shape: shape.to_vec() })
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        self.dtype.device_bytes(self.shape.iter().product())
    }

    /// The elements, brought back to the host.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails or is lost.
    pub fn read(&self) -> Result<Tensor> {
        let bytes = self.gpu.read(&[(&self.buffer, 0, self.bytes())])?;
        let bytes = bytes.into_iter().next().ok_or_else(|| Error::invalid("readback", "nothing was read"))?;
        Tensor::from_device(self.dtype, &self.shape, &bytes)
    }

    pub(super) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Whether it lies on the device that `gpu` runs on.
    pub(super) fn is_on(&self, gpu: &Gpu) -> bool {
        // Devices of different wgpu instances may compare as equal; pipelines are shared by all handles of one device.
        Arc::ptr_eq(&self.gpu.0.pipelines, &gpu.0.pipelines)
    }
}

impl fmt::Debug for DeviceTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceTensor({}{:?} on '{}')", self.dtype, self.shape, self.gpu.info().name)
    }
}

/// A value that is on the host or on a device.
#[derive(Clone, Debug)]
pub enum Located {
    /// On the host.
    Host(Arc<Tensor>),
    /// On a device.
    Device(DeviceTensor),
}

impl Located {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Located::Host(t) => t.dtype(),
            Located::Device(t) => t.dtype(),
        }
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Located::Host(t) => t.shape(),
            Located::Device(t) => t.shape(),
        }
    }

    /// The elements on the host, brought there where they are not.
    ///
    /// # Errors
    /// As [`DeviceTensor::read`].
    pub fn to_host(&self) -> Result<Arc<Tensor>> {
        match self {
            Located::Host(t) => Ok(t.clone()),
            Located::Device(t) => t.read().map(Arc::new),
        }
    }
}

impl From<Tensor> for Located {
    fn from(tensor: Tensor) -> Self {
        Located::Host(Arc::new(tensor))
    }
}
