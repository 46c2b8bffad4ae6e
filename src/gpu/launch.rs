//! Dispatches made ready: pipelines, bind groups and parameters exist, and recording one is three calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Gpu;
use super::memory::{Buffer, Purpose};
use super::pipelines::{Key, Pipeline};
use super::weights::Slice;
use crate::error::{Error, Result};
use crate::kernel::{Dispatch, Resource};

/// One dispatch, ready to record.
pub struct Launch {
    pipeline: Arc<Pipeline>,
    groups: Vec<(u32, wgpu::BindGroup)>,
    grid: [u32; 3],
    /// The parameters of all launches that were made together.
    _params: Buffer,
}

impl Launch {
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.pipeline);
        for (group, bindings) in &self.groups {
            pass.set_bind_group(*group, bindings, &[]);
        }
        let [x, y, z] = self.grid;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// Makes `dispatches` ready, in their order; `resource` says where what they bind lies.
pub fn launches(gpu: &Gpu, dispatches: &[&Dispatch], resource: impl Fn(Resource) -> Result<Slice>) -> Result<Vec<Launch>> {
    use wgpu::BufferUsages as Usage;
    let keys: Vec<Key> = dispatches.iter().map(|d| key(d)).collect();
    let mut pipelines = gpu.pipelines(&keys)?.into_iter();
    let stride = u64::from(gpu.info().caps.uniform_align);
    let size = |d: &Dispatch| (d.params.len() as u64 * 4).max(4).next_multiple_of(16).next_multiple_of(stride);
    let total = dispatches.iter().map(|d| size(d)).sum();
    let params = gpu.buffer(Purpose::Other, "parameters", total, Usage::UNIFORM | Usage::COPY_DST)?;
    let mut words = vec![0u32; total as usize / 4];
    let mut offset = 0;
    let mut launches = Vec::with_capacity(dispatches.len());
    for dispatch in dispatches {
        let pipeline = pipelines.next().ok_or_else(|| Error::invalid("executable", "a pipeline is missing"))?;
        let own = Slice { buffer: params.clone(), offset, bytes: (dispatch.params.len() as u64 * 4).next_multiple_of(16) };
        let groups = bind(gpu, dispatch, &pipeline, &own, &resource)?;
        words[offset as usize / 4..][..dispatch.params.len()].copy_from_slice(&dispatch.params);
        launches.push(Launch { pipeline, groups, grid: dispatch.grid, _params: params.clone() });
        offset += size(dispatch);
    }
    gpu.write("writing parameters", &params, 0, bytemuck::cast_slice(&words))?;
    Ok(launches)
}

/// What decides about the pipeline of a dispatch.
pub fn key(dispatch: &Dispatch) -> Key {
    let bindings = dispatch.bindings.iter().map(|b| (b.group, b.binding, b.constant)).collect();
    Key { kernel: dispatch.kernel.clone(), bindings }
}

fn bind(
    gpu: &Gpu,
    dispatch: &Dispatch,
    pipeline: &Pipeline,
    params: &Slice,
    resource: impl Fn(Resource) -> Result<Slice>,
) -> Result<Vec<(u32, wgpu::BindGroup)>> {
    let mut slices = vec![(0, 0, params.clone())];
    for b in &dispatch.bindings {
        slices.push((b.group, b.binding, resource(b.resource)?));
    }
    let mut groups = Vec::new();
    for (group, layout) in pipeline.layouts.iter().enumerate() {
        let Some(layout) = layout else { continue };
        let entries: Vec<wgpu::BindGroupEntry<'_>> = slices
            .iter()
            .filter(|(g, _, _)| *g as usize == group)
            .map(|(_, binding, slice)| wgpu::BindGroupEntry {
                binding: *binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &slice.buffer,
                    offset: slice.offset,
                    // Vectors are read whole, so a binding's size is a multiple of 16 where the buffer goes on so far.
                    size: std::num::NonZeroU64::new(slice.bytes.next_multiple_of(16).min(slice.buffer.size() - slice.offset)),
                }),
            })
            .collect();
        gpu.0.counters.bind_groups.fetch_add(1, Ordering::Relaxed);
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
        let made = gpu.guard(&format!("binding {}", dispatch.kernel), || Ok(gpu.0.device.create_bind_group(&descriptor)))?;
        groups.push((group as u32, made));
    }
    Ok(groups)
}
