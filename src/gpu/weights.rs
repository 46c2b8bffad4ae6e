//! Weights on the device: packed in row chunks or as plain f32, uploaded once and shared by all plans of a model.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::Gpu;
use super::memory::{Buffer, Purpose};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, Origin};
use crate::plan::{Place, Plan};
use crate::quant::{self, Format};
use crate::tensor::{Identity, Weight};

/// Bytes of a buffer that many planes share; larger planes get one of their own.
const SLAB: u64 = 128 << 20;
/// The kinds of slabs.
const PLANES: usize = 0;
const DENSE: usize = 1;
/// Offset alignment of planes: the largest that any device asks for.
const ALIGN: u64 = 256;
/// File bytes that are packed and handed over at a time.
const PIECE: usize = 8 << 20;
/// Bytes in flight after which the device is waited for, so that staging stays small.
const IN_FLIGHT: u64 = 32 << 20;

/// A part of a buffer.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub buffer: Buffer,
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
    /// Those of planes and those of dense weights. They are apart, since one dispatch may bind planes read-only and dense
    /// weights read_write, which no buffer can be at once.
    slabs: [Slabs; 2],
    in_flight: u64,
    bytes: u64,
}

/// Buffers that weights share.
#[derive(Default)]
struct Slabs {
    /// Those with room, and how far each is used.
    open: Vec<(Buffer, u64)>,
    /// Bytes that the running call will still place here, at most.
    expected: u64,
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
            let used = stored.weight.as_ref().is_some_and(|weight| !weight.is_only_handle());
            freed += if used { 0 } else { stored.bytes() };
            used
        });
        state.bytes -= freed;
        state.slabs = Default::default();
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
        state.slabs[PLANES].expected = jobs.iter().filter_map(|(_, _, w, chunks, _)| Some(plane_bytes(w, (*chunks)?))).sum();
        state.slabs[DENSE].expected = jobs.iter().filter(|job| job.4).map(|(_, _, w, ..)| in_slabs(dense_bytes(w))).sum();
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
                let slice = self.upload_dense(state, name, weight, &mut |n| {
                    done += n;
                    progress(done, total);
                })?;
                state.stored.entry(identity).or_default().dense = Some(slice);
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
            *slice = Some(self.allocate(state, PLANES, name, bytes as u64)?);
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

    fn upload_dense(&self, state: &mut State, name: &str, weight: &Weight, progress: &mut dyn FnMut(u64)) -> Result<Slice> {
        let slice = self.allocate(state, DENSE, name, dense_bytes(weight))?;
        let (elements, bytes) = weight.dtype().block();
        let mut at = 0;
        for piece in weight.bytes().chunks((PIECE / 4 / elements).max(1) * bytes) {
            let n = piece.len() / bytes * elements;
            match weight.dtype() {
                DType::F32 => self.write(state, &slice, at, piece)?,
                DType::I64 => {
                    // A constant beyond 32 bits is a bound that nothing reaches: it is held at their end.
                    let held = |b: &[u8; 8]| i64::from_le_bytes(*b).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
                    let held: Vec<i32> = piece.as_chunks().0.iter().map(held).collect();
                    self.write(state, &slice, at, bytemuck::cast_slice(&held))?;
                }
                dtype => {
                    let mut values = vec![0.0f32; n];
                    quant::dequantize(dtype, piece, &mut values)?;
                    self.write(state, &slice, at, bytemuck::cast_slice(&values))?;
                }
            }
            at += n as u64 * 4;
            progress(piece.len() as u64);
        }
        Ok(slice)
    }

    fn allocate(&self, state: &mut State, kind: usize, name: &str, bytes: u64) -> Result<Slice> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let size = bytes.next_multiple_of(ALIGN);
        state.bytes += size;
        if size > SLAB / 4 {
            let buffer = self.gpu.buffer(Purpose::Weights, &format!("weight '{name}'"), size, usage)?;
            return Ok(Slice { buffer, offset: 0, bytes });
        }
        let Slabs { open, expected } = &mut state.slabs[kind];
        let room = SLAB.min(self.gpu.info().caps.max_buffer).min(*expected).max(size);
        *expected = expected.saturating_sub(size);
        let fits = |(buffer, used): &(Buffer, u64)| used + size <= buffer.size();
        let at = match open.iter().position(fits) {
            Some(at) => at,
            None => {
                open.push((self.gpu.buffer(Purpose::Weights, "weights", room, usage)?, 0));
                open.len() - 1
            }
        };
        let (buffer, used) = &mut open[at];
        let slice = Slice { buffer: buffer.clone(), offset: *used, bytes };
        *used += size;
        Ok(slice)
    }

    fn write(&self, state: &mut State, slice: &Slice, offset: u64, data: &[u8]) -> Result<()> {
        self.gpu.write("uploading weights", &slice.buffer, slice.offset + offset, data)?;
        state.in_flight += data.len() as u64;
        if state.in_flight >= IN_FLIGHT { self.flush(state) } else { Ok(()) }
    }

    fn flush(&self, state: &mut State) -> Result<()> {
        state.in_flight = 0;
        self.gpu.flush();
        self.gpu.wait()
    }
}

/// Bytes of a dense weight.
fn dense_bytes(weight: &Weight) -> u64 {
    (weight.rows() * weight.columns()) as u64 * 4
}

/// Bytes that the planes of a weight in these chunks take in slabs.
fn plane_bytes(weight: &Weight, chunks: &[Range<usize>]) -> u64 {
    let planes = |rows: &Range<usize>| Format::of(weight.dtype()).map_or([0; 3], |f| f.plane_bytes(rows.len(), weight.columns()));
    chunks.iter().flat_map(planes).map(|bytes| in_slabs(bytes as u64)).sum()
}

/// Bytes that a buffer of `bytes` takes in slabs: none where it is one of its own.
fn in_slabs(bytes: u64) -> u64 {
    Some(bytes.next_multiple_of(ALIGN)).filter(|size| *size <= SLAB / 4).unwrap_or(0)
}
