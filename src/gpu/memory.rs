//! The account of device memory: what every buffer is for, how many bytes that makes now, and how many it made at most.
//!
//! Every buffer of a device comes from [`Gpu::buffer`] with its purpose, and leaves the account when the last handle of it goes; so a
//! handle lives as long as anything that binds the buffer. Bytes that wgpu copies to bring them ([`Gpu::write`]) are staged until the
//! device was waited for. All clones of one [`Gpu`] share one account.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use super::Gpu;
use crate::error::Result;

/// What device memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Weights,
    States,
    Arena,
    Staging,
    Other,
}

/// Bytes of device memory, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Weights.
    pub weights: u64,
    /// States, such as key-value caches.
    pub states: u64,
    /// Activations.
    pub arena: u64,
    /// What is on its way: inputs, results, and weights while they are uploaded.
    pub staging: u64,
    /// All else: parameters of dispatches, tensors that runs left on the device, buffers of measurements.
    pub other: u64,
}

impl Memory {
    /// Bytes of all together.
    pub fn total(&self) -> u64 {
        let Memory { weights, states, arena, staging, other } = self;
        weights + states + arena + staging + other
    }

    fn of(&mut self, purpose: Purpose) -> &mut u64 {
        match purpose {
            Purpose::Weights => &mut self.weights,
            Purpose::States => &mut self.states,
            Purpose::Arena => &mut self.arena,
            Purpose::Staging => &mut self.staging,
            Purpose::Other => &mut self.other,
        }
    }
}

/// What [`Gpu::memory`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Now.
    pub now: Memory,
    /// When the total was largest.
    pub peak: Memory,
}

/// The account of one device.
#[derive(Default)]
pub(super) struct Account(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    uses: MemoryUse,
    /// Staged bytes of which no submit was told yet, and those that go when the device is waited for.
    written: u64,
    submitted: u64,
}

impl Entries {
    fn add(&mut self, purpose: Purpose, bytes: u64) {
        let MemoryUse { now, peak } = &mut self.uses;
        *now.of(purpose) += bytes;
        if now.total() > peak.total() {
            *peak = *now;
        }
    }

    fn take(&mut self, purpose: Purpose, bytes: u64) {
        *self.uses.now.of(purpose) -= bytes;
    }
}

impl Account {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What was written so far is on its way.
    pub(super) fn submitted(&self) {
        let entries = &mut *self.lock();
        entries.submitted += std::mem::take(&mut entries.written);
    }

    /// What was on its way has arrived.
    pub(super) fn arrived(&self) {
        let entries = &mut *self.lock();
        let bytes = std::mem::take(&mut entries.submitted);
        entries.take(Purpose::Staging, bytes);
    }
}

/// A buffer with its entry in the account. Cloning shares both.
#[derive(Clone)]
pub(super) struct Buffer {
    buffer: wgpu::Buffer,
    _entry: Arc<Entry>,
}

struct Entry {
    account: Arc<Account>,
    purpose: Purpose,
    bytes: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.account.lock().take(self.purpose, self.bytes);
    }
}

impl Deref for Buffer {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.size())
    }
}

impl Gpu {
    /// Device memory that Wavelane has, now and at most.
    pub fn memory(&self) -> MemoryUse {
        self.0.memory.lock().uses
    }

    /// From now on the peak is that of what comes.
    pub fn forget_peak(&self) {
        let uses = &mut self.0.memory.lock().uses;
        uses.peak = uses.now;
    }

    pub(super) fn buffer(&self, purpose: Purpose, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        self.0.counters.buffers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // wgpu refuses empty buffers and copies that are no multiple of four.
        let size = size.next_multiple_of(4).max(4);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let make = || Ok(self.0.device.create_buffer(&descriptor));
        let buffer = self.guard(&format!("allocating {size} bytes for {label}"), make)?;
        let account = self.0.memory.clone();
        account.lock().add(purpose, size);
        Ok(Buffer { buffer, _entry: Arc::new(Entry { account, purpose, bytes: size }) })
    }

    /// Brings bytes to a buffer with the next submit. wgpu keeps a copy until the device was waited for after that.
    pub(super) fn write(&self, what: &str, buffer: &Buffer, offset: u64, data: &[u8]) -> Result<()> {
        self.guard(what, || {
            self.0.queue.write_buffer(buffer, offset, data);
            Ok(())
        })?;
        let entries = &mut *self.0.memory.lock();
        entries.written += data.len() as u64;
        entries.add(Purpose::Staging, data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_the_largest_total_and_what_is_staged_goes_when_it_has_arrived() {
        let account = Account::default();
        account.lock().add(Purpose::Weights, 100);
        account.lock().written += 40;
        account.lock().add(Purpose::Staging, 40);
        // Nothing was submitted that could have arrived.
        account.arrived();
        assert_eq!(account.lock().uses.now.staging, 40);
        account.submitted();
        account.arrived();
        account.lock().add(Purpose::Arena, 30);
        let MemoryUse { now, peak } = account.lock().uses;
        assert_eq!(now, Memory { weights: 100, arena: 30, ..Memory::default() });
        assert_eq!(peak, Memory { weights: 100, staging: 40, ..Memory::default() });
    }
}
