//! Weights on the device: packed in row chunks or as plain f32, uploaded once and shared by all plans of a model.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::Gpu;
use crate::error::{Error, Result};
use crate::graph::{Graph, Origin};
use crate::plan::{Place, Plan};
use crate::quant::{self, Format};
use crate::tensor::{Data, Identity, Weight};

/// Bytes of a buffer that many planes share; larger planes get one of their own.
const SLAB: u64 = 128 << 20;
/// Offset alignment of planes: the largest that any device asks for.
const ALIGN: u64 = 256;
/// File bytes that are packed and handed over at a time.
const PIECE: usize = 8 << 20;
/// Bytes in flight after which the device is waited for, so that staging stays small.
const IN_FLIGHT: u64 = 32 << 20;

/// A part of a buffer.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub buffer: wgpu::Buffer,
    pub offset: u64,
    pub bytes: u64,
}

/// One weight on the device.
#[derive(Clone, Debug, Default)]
struct Stored {
    /// Keeps the bytes, and with them the identity, from being anything else's.
    weight: Option<Weight>,
    /// `[quants, scales, high]` of each chunk.
    chunks: Vec<[Option<Slice>; 3]>,
    dense: Option<Slice>,
}

impl Stored {
    /// Bytes of device memory.
    fn bytes(&self) -> u64 {
        let slices = self.chunks.iter().flatten().flatten().chain(&self.dense);
        slices.map(|slice| slice.bytes.next_multiple_of(ALIGN)).sum()
    }
}

/// The weights of one model on one device.
pub struct WeightStore {
    gpu: Gpu,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stored: HashMap<Identity, Stored>,
    /// Open slabs of planes and of dense weights. They are apart, since one dispatch may bind planes read-only and dense
    /// weights read_write, which no buffer can be at once.
    slabs: [Option<(wgpu::Buffer, u64)>; 2],
    /// Bytes that the running call will still place in slabs, at most.
    expected: u64,
    in_flight: u64,
    bytes: u64,
}

/// Told the bytes uploaded so far and the bytes that a call will upload.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl WeightStore {
    /// An empty store.
    pub fn new(gpu: &Gpu) -> Arc<Self> {
        Arc::new(WeightStore { gpu: gpu.clone(), state: Mutex::default() })
    }

    /// Bytes of device memory that the weights take.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Lets go of the weights that nobody else keeps, such as those that were computed for a graph that is gone. Slabs go with
    /// the last of their weights.
    pub fn release_unused(&self) {
        let state = &mut *self.lock();
        let mut freed = 0;
        state.stored.retain(|_, stored| {
            let used = stored.weight.as_ref().is_some_and(|weight| !weight.is_only_owner());
            freed += if used { 0 } else { stored.bytes() };
            used
        });
        state.bytes -= freed;
        state.slabs = [None, None];
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Uploads what `plan` reads and is not there yet.
    ///
    /// # Errors
    /// [`Error::Device`] when the device runs out of memory.
    pub fn ensure(&self, graph: &Graph, plan: &Plan, progress: Progress<'_>) -> Result<()> {
        let state = &mut *self.lock();
        let mut jobs = Vec::new();
        for (value, source) in plan.values.iter().zip(&graph.values) {
            let (Place::Weight { chunks, dense }, Origin::Weight(weight)) = (&value.place, &source.origin) else {
                continue;
            };
            let stored = state.stored.entry(weight.identity()).or_default();
            stored.weight = Some(weight.clone());
            let packed = (!chunks.is_empty() && stored.chunks.is_empty()).then_some(chunks);
            jobs.push((weight.identity(), &value.name, weight, packed, *dense && stored.dense.is_none()));
        }
        let total = jobs
            .iter()
            .map(|(_, _, w, packed, dense)| w.byte_len() as u64 * (u64::from(packed.is_some()) + u64::from(*dense)))
            .sum();
        state.expected = jobs.iter().map(|(_, _, w, packed, dense)| slab_bytes(w, *packed, *dense)).sum();
        let mut done = 0;
        for (identity, name, weight, packed, dense) in jobs {
            // Another value of the plan may be the same weight.
            let packed = packed.filter(|_| state.stored.get(&identity).is_none_or(|s| s.chunks.is_empty()));
            let dense = dense && state.stored.get(&identity).is_none_or(|s| s.dense.is_none());
            let mut chunks = Vec::new();
            for rows in packed.into_iter().flatten() {
                let chunk = self.upload_packed(state, name, weight, rows, &mut |n| {
                    done += n;
                    progress(done, total);
                })?;
                chunks.push(chunk);
            }
            if packed.is_some() {
                // Only whole weights count as stored, so that a failed upload can be tried again.
                state.stored.entry(identity.clone()).or_default().chunks = chunks;
            }
            if dense {
                let slice = self.upload_dense(state, name, weight)?;
                state.stored.entry(identity).or_default().dense = Some(slice);
                done += weight.byte_len() as u64;
                progress(done, total);
            }
        }
        self.flush(state)
    }

    /// The slice of one plane of a chunk.
    pub(super) fn plane(&self, weight: &Weight, chunk: usize, plane: usize) -> Option<Slice> {
        self.lock().stored.get(&weight.identity())?.chunks.get(chunk)?[plane].clone()
    }

    /// The slice of a dense weight.
    pub(super) fn dense(&self, weight: &Weight) -> Option<Slice> {
        self.lock().stored.get(&weight.identity())?.dense.clone()
    }

    fn upload_packed(
        &self,
        state: &mut State,
        name: &str,
        weight: &Weight,
        rows: &Range<usize>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<[Option<Slice>; 3]> {
        let (dtype, columns) = (weight.dtype(), weight.columns());
        let format = Format::of(dtype).ok_or_else(|| Error::Unsupported(format!("'{name}' as a packed {dtype} weight")))?;
        let sizes = format.plane_bytes(rows.len(), columns);
        let mut slices = [None, None, None];
        for (slice, bytes) in slices.iter_mut().zip(sizes).filter(|(_, bytes)| *bytes > 0) {
            *slice = Some(self.allocate(state, 0, name, bytes as u64)?);
        }
        // Pieces begin at even rows, so that planes of two-byte scales are cut at whole words.
        let row_bytes = dtype.row_bytes(columns).unwrap_or(1).max(1);
        let piece = (PIECE / row_bytes / 2 * 2).max(2);
        let mut planes: [Vec<u8>; 3] = Default::default();
        for start in (0..rows.len()).step_by(piece) {
            let n = piece.min(rows.len() - start);
            let bytes = weight.row_bytes(rows.start + start..rows.start + start + n);
            planes.iter_mut().zip(format.plane_bytes(n, columns)).for_each(|(p, size)| p.resize(size, 0));
            quant::pack_rows(dtype, &bytes, n, columns, planes.each_mut().map(Vec::as_mut_slice))?;
            let before = format.plane_bytes(start, columns);
            for ((slice, data), offset) in slices.iter().zip(&planes).zip(before) {
                if let Some(slice) = slice {
                    self.write(state, slice, offset as u64, data)?;
                }
            }
            progress(bytes.len() as u64);
        }
        Ok(slices)
    }

    fn upload_dense(&self, state: &mut State, name: &str, weight: &Weight) -> Result<Slice> {
        let slice = self.allocate(state, 1, name, (weight.rows() * weight.columns()) as u64 * 4)?;
        match weight.to_tensor()?.data() {
            // A constant beyond 32 bits is a bound that nothing reaches: it is held at their end.
            Data::I64(v) => {
                let held: Vec<i32> = v.iter().map(|n| (*n).clamp(i32::MIN.into(), i32::MAX.into()) as i32).collect();
                self.write(state, &slice, 0, bytemuck::cast_slice(&held))?;
            }
            Data::F32(v) => self.write(state, &slice, 0, bytemuck::cast_slice(v))?,
            other => return Err(Error::invalid("weight", format!("'{name}' is dense but {other:?}"))),
        }
        Ok(slice)
    }

    fn allocate(&self, state: &mut State, slab: usize, name: &str, bytes: u64) -> Result<Slice> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let size = bytes.next_multiple_of(ALIGN);
        state.bytes += size;
        if size > SLAB / 4 {
            let buffer = self.gpu.buffer(&format!("weight '{name}'"), size, usage)?;
            return Ok(Slice { buffer, offset: 0, bytes });
        }
        let (buffer, offset) = match state.slabs[slab].take().filter(|(buffer, used)| used + size <= buffer.size()) {
            Some(open) => open,
            None => {
                let room = SLAB.min(self.gpu.info().caps.max_buffer).min(state.expected);
                (self.gpu.buffer("weights", room.max(size), usage)?, 0)
            }
        };
        state.expected = state.expected.saturating_sub(size);
        state.slabs[slab] = Some((buffer.clone(), offset + size));
        Ok(Slice { buffer, offset, bytes })
    }

    fn write(&self, state: &mut State, slice: &Slice, offset: u64, data: &[u8]) -> Result<()> {
        self.gpu.guard("uploading weights", || {
            self.gpu.0.queue.write_buffer(&slice.buffer, slice.offset + offset, data);
            Ok(())
        })?;
        state.in_flight += data.len() as u64;
        if state.in_flight >= IN_FLIGHT { self.flush(state) } else { Ok(()) }
    }

    fn flush(&self, state: &mut State) -> Result<()> {
        state.in_flight = 0;
        self.gpu.0.queue.submit([]);
        self.gpu.wait()
    }
}

/// An upper bound of what a weight takes in slabs.
fn slab_bytes(weight: &Weight, chunks: Option<&Vec<Range<usize>>>, dense: bool) -> u64 {
    let planes = |rows: &Range<usize>| match Format::of(weight.dtype()) {
        Some(format) => format.plane_bytes(rows.len(), weight.columns()),
        None => [0; 3],
    };
    let packed = chunks.into_iter().flatten().flat_map(planes).map(|bytes| bytes as u64);
    let dense = dense.then(|| (weight.rows() * weight.columns()) as u64 * 4);
    let sizes = packed.chain(dense).map(|bytes| bytes.next_multiple_of(ALIGN));
    sizes.filter(|size| *size <= SLAB / 4).sum()
}
