//! Dispatches over buffers of their own, run again and again: what measures a device.

use web_time::Instant;

use super::launch::{Launch, launches};
use super::memory::{Buffer, Purpose};
use super::weights::Slice;
use super::{Gpu, map};
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Resource};

/// Bytes that [`Series::read_back`] brings.
const READBACK: u64 = 16;

/// Dispatches over buffers of their own.
pub struct Series {
    gpu: Gpu,
    buffers: Vec<Buffer>,
    launches: Vec<Launch>,
    readback: Buffer,
}

impl Gpu {
    /// Makes buffers of so many bytes, and `dispatches` ready, whose resources are values: the buffers' numbers.
    ///
    /// # Errors
    /// [`Error::Device`] when memory does not suffice or a kernel does not compile; [`Error::Invalid`] for a buffer that is not there.
    pub fn series(&self, bytes: &[u64], dispatches: &[Dispatch]) -> Result<Series> {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let buffer = |bytes: &u64| self.buffer(Purpose::Other, "a measurement", (*bytes).max(READBACK), usage);
        let buffers = bytes.iter().map(buffer).collect::<Result<Vec<_>>>()?;
        let resource = |resource: Resource| match resource {
            Resource::Value(i) => buffers.get(i).map(|b| Slice { buffer: b.clone(), offset: 0, bytes: b.size() }),
            Resource::Plane { .. } => None,
        };
        let resource = |r| resource(r).ok_or_else(|| Error::invalid("series", format!("{r:?} is no buffer")));
        let dispatches: Vec<&Dispatch> = dispatches.iter().collect();
        let launches = self.guard("preparing a measurement", || launches(self, &dispatches, resource))?;
        let readback = self.buffer(Purpose::Staging, "a readback", READBACK, Usage::MAP_READ | Usage::COPY_DST)?;
        Ok(Series { gpu: self.clone(), buffers, launches, readback })
    }
}

impl Series {
    /// Records the dispatches `n` times in one submit; the seconds from its beginning to the end of its work.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn run(&self, n: usize) -> Result<f64> {
        self.time(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            (0..n).for_each(|_| self.launches.iter().for_each(|launch| launch.record(&mut pass)));
        })
    }

    /// Copies the first buffer to the second `n` times, as far as both go, in one submit, without a kernel.
    ///
    /// # Errors
    /// As [`Series::run`]; [`Error::Invalid`] where there are no two buffers.
    pub fn copy(&self, n: usize) -> Result<f64> {
        let [from, to, ..] = &self.buffers[..] else { return Err(Error::invalid("series", "a copy takes two buffers")) };
        let bytes = from.size().min(to.size());
        self.time(|encoder| (0..n).for_each(|_| encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes)))
    }

    fn time(&self, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Result<f64> {
        self.gpu.guard("measuring", || {
            let began = Instant::now();
            let mut encoder = self.gpu.0.device.create_command_encoder(&Default::default());
            record(&mut encoder);
            let submission = self.gpu.submit(encoder.finish());
            self.gpu.wait_for(submission)?;
            Ok(began.elapsed().as_secs_f64())
        })
    }

    /// Brings the first bytes of the first buffer to the host; the seconds from the submit until they are there.
    ///
    /// # Errors
    /// As [`Series::run`].
    pub fn read_back(&self) -> Result<f64> {
        let Some(buffer) = self.buffers.first() else { return Err(Error::invalid("series", "there is no buffer")) };
        self.gpu.guard("reading back", || {
            let began = Instant::now();
            let mut encoder = self.gpu.0.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(buffer, 0, &self.readback, 0, READBACK);
            let submission = self.gpu.submit(encoder.finish());
            let mapped = map(&self.readback, wgpu::MapMode::Read);
            self.gpu.wait_for(submission)?;
            mapped.check(&self.gpu, "reading back")?;
            let seconds = began.elapsed().as_secs_f64();
            self.readback.unmap();
            Ok(seconds)
        })
    }

    /// The contents of a buffer.
    ///
    /// # Errors
    /// As [`Series::run`]; [`Error::Invalid`] for a buffer that is not there.
    pub fn contents(&self, buffer: usize) -> Result<Vec<u8>> {
        let found = self.buffers.get(buffer).ok_or_else(|| Error::invalid("series", format!("there is no buffer {buffer}")))?;
        self.gpu.read(&[(found, 0, found.size())]).map(|mut parts| parts.pop().unwrap_or_default())
    }
}
