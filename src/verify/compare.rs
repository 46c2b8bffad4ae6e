//! Makes the comparisons, on several devices beside one another where that helps.

use std::sync::{Arc, Mutex, mpsc};
use std::{slice, thread};

use web_time::Instant;

use super::tasks::Task;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Record, Trial, Verdict, WeightStore};
use crate::graph::Graph;
use crate::kernel::caps::View;
use crate::plan::{self, Plan};
use crate::shape::Symbols;

/// Devices, where several help ([`Gpu::again`]).
const MOST_DEVICES: usize = 4;

/// Tasks whose pipelines are made at a time: that takes most of the time, and all cores can do it. Several devices take fewer, so that
/// none is left with the last.
const AHEAD: usize = 32;
const FEW_AHEAD: usize = 4;

/// Pipelines that each device keeps for further tasks: one of an unrolled kernel takes a MiB or two on drivers that run shaders on a CPU.
const KEPT: usize = 256;

/// What one comparison came to.
pub struct Compared<'a> {
    /// What was compared.
    pub task: &'a Task,
    /// Under which view of the device.
    pub view: View,
    /// The verdict, or why there is none.
    pub verdict: std::result::Result<Verdict, String>,
    /// Seconds that it took, compilation included.
    pub seconds: f64,
}

/// The tasks that are left, a handful at a time.
type Left<'a> = Mutex<slice::Chunks<'a, Task>>;

/// Makes the comparisons of `tasks`, which are noted in the record; `seen` is told each.
///
/// # Errors
/// [`Error::Device`] when the device fails altogether.
pub fn compare(
    gpu: &Gpu,
    record: &Arc<Record>,
    graphs: &[Graph],
    tasks: &[Task],
    seen: &mut dyn FnMut(Compared<'_>),
) -> Result<()> {
    let gpus = devices(gpu);
    let left = Left::new(tasks.chunks(if gpus.len() > 1 { FEW_AHEAD } else { AHEAD }));
    thread::scope(|scope| {
        let (said, heard) = mpsc::channel();
        for gpu in &gpus {
            let (left, said) = (&left, said.clone());
            scope.spawn(move || {
                if let Err(e) = work(gpu, record, graphs, left, &said) {
                    let _ = said.send(Err(e));
                }
            });
        }
        drop(said);
        // Where one fails, nobody hears the others any more, and they end.
        for compared in heard {
            seen(compared?);
        }
        Ok(())
    })
}

/// The device, as often as that helps and its driver allows.
fn devices(gpu: &Gpu) -> Vec<Gpu> {
    let cores = thread::available_parallelism().map_or(1, |n| n.get());
    let again = |_| gpu.again().inspect_err(|e| log::info!("not opened once more: {e}")).ok().flatten();
    [gpu.clone()].into_iter().chain((1..cores.min(MOST_DEVICES)).filter_map(again)).collect()
}

/// What one device does until no task is left.
fn work<'a>(
    gpu: &Gpu,
    record: &Arc<Record>,
    graphs: &[Graph],
    left: &Left<'a>,
    said: &mpsc::Sender<Result<Compared<'a>>>,
) -> Result<()> {
    loop {
        let Some(tasks) = left.lock().unwrap_or_else(|e| e.into_inner()).next() else { return Ok(()) };
        gpu.prepare(&tasks.iter().flat_map(|task| plans(gpu, graphs, task)).collect::<Vec<_>>())?;
        for task in tasks {
            let gpu = &gpu.with_caps(|caps| *caps = task.caps(caps)).with_record(record.clone());
            let trial = Trial::of_graph(&graphs[task.graph], task.fill)?;
            let weights = WeightStore::new(gpu);
            for view in &task.views {
                let began = Instant::now();
                let verdict = match gpu.verify(&trial, *view, &weights) {
                    Ok(verdict) => Ok(verdict),
                    Err(e @ (Error::Unsupported(_) | Error::Request(_) | Error::Shape { .. })) => Err(e.to_string()),
                    Err(e) => return Err(e),
                };
                let compared = Compared { task, view: *view, verdict, seconds: began.elapsed().as_secs_f64() };
                if said.send(Ok(compared)).is_err() {
                    return Ok(());
                }
            }
        }
        gpu.trim_pipelines(KEPT);
    }
}

/// The plans of one task, where there are any.
fn plans(gpu: &Gpu, graphs: &[Graph], task: &Task) -> Vec<Plan> {
    let caps = task.caps(&gpu.info().caps);
    let compile = |view: &View| plan::compile(&graphs[task.graph], &Symbols::new(), &caps.seen_as(*view)).ok();
    task.views.iter().filter_map(compile).collect()
}
