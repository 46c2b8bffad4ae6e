//! What a device can do at most, measured with kernels that do nothing else: no kernel of the crate can be faster.
//!
//! A GPU moves bytes fastest when neighbouring lanes take neighbouring words, a CPU that runs shaders when each lane has a run of its
//! own; both are tried, and the better counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::timing::per_repetition;
use super::{Effort, Progress};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Series};
use crate::kernel::caps::Width;
use crate::kernel::{Dispatch, Kernel};

/// Lanes of a workgroup, as in the shaders.
const WORKGROUP: u64 = 64;
/// Bytes of a quad of f32.
const QUAD: u64 = 16;
/// Bytes of the smallest buffer.
const SMALLEST: u64 = 1 << 20;
/// Multiply-adds, or products of four bytes that are added up, of a lane in one round.
const ROUND: u64 = 48;

/// How fast bytes move in buffers of one size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Bytes of the buffer.
    pub bytes: u64,
    /// Bytes read per second.
    pub read: f64,
    /// Bytes written per second.
    pub write: f64,
    /// Bytes read and bytes written per second by a copy.
    pub copy: f64,
}

/// What a device can do at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roofs {
    /// Bytes per second in the largest buffer, beyond the caches.
    pub memory: Bandwidth,
    /// The same over sizes, smallest first; small buffers stay in caches.
    pub bandwidth: Vec<Bandwidth>,
    /// f32 operations per second; a fused multiply-add is two.
    pub f32_flops: f64,
    /// f16 operations per second, where shaders have f16.
    pub f16_flops: Option<f64>,
    /// Operations per second on bytes by `dot4I8Packed`, of which each product that is added up is eight.
    pub int8_ops: f64,
    /// Operations per second by cooperative matrices, f16 or f32 with sums in f32, whichever are faster.
    pub cooperative_flops: Option<f64>,
    /// Why those are not measured.
    #[serde(default)]
    pub cooperative_reason: Option<String>,
    /// Seconds of one more dispatch in a submit, recording included.
    pub dispatch_seconds: f64,
    /// Seconds from submitting one dispatch to having waited for it.
    pub submit_seconds: f64,
    /// Seconds from submitting a copy of a few bytes until the host has them.
    pub readback_seconds: f64,
}

impl fmt::Display for Roofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bandwidth { read, write, copy, .. } = &self.memory;
        write!(f, "read {:.1} GB/s, write {:.1} GB/s, copy {:.1} GB/s, ", read / 1e9, write / 1e9, copy / 1e9)?;
        write!(f, "f32 {:.1} GFLOP/s, ", self.f32_flops / 1e9)?;
        if let Some(flops) = self.f16_flops {
            write!(f, "f16 {:.1} GFLOP/s, ", flops / 1e9)?;
        }
        if let Some(flops) = self.cooperative_flops {
            write!(f, "cooperative matrices {:.1} GFLOP/s, ", flops / 1e9)?;
        }
        let [dispatch, submit, readback] = [self.dispatch_seconds, self.submit_seconds, self.readback_seconds].map(|s| s * 1e6);
        write!(
            f,
            "int8 {:.1} Gop/s, dispatch {dispatch:.1} us, submit {submit:.1} us, readback {readback:.1} us",
            self.int8_ops / 1e9
        )
    }
}

/// The dispatches that a measurement consists of, all of them: what tests hold to the rules for kernels.
pub fn dispatches() -> Vec<Dispatch> {
    let number = |stem| multiply_add(stem, 1, 1);
    let mut all = vec![number("roof/f32"), number("roof/f16"), dot(1, 1), empty()];
    all.extend(MATRICES.map(|(matrices, ..)| cooperative(matrices, 4, 1, 1)));
    for coalesced in [false, true] {
        all.extend([write(SMALLEST, coalesced), copy(SMALLEST, coalesced)]);
        all.extend(LOADS.map(|loads| read(SMALLEST, coalesced, loads)));
    }
    all
}

/// Quads of an invocation that moves memory: long runs where lanes have their own, else enough lanes to fill a device.
fn share(bytes: u64, coalesced: bool) -> u64 {
    let most = if coalesced { 64 } else { 512 };
    (bytes / QUAD / WORKGROUP / 64).clamp(16, most)
}

/// What `roof_read` loads at once: the provider, and how many quads that is.
type Loads = (&'static str, u64);

/// Those that a device may have.
const LOADS: [Loads; 2] = [("roof/quads", 1), ("roof/eights", 2)];

fn mover(shader: &'static str, count: &'static str, bytes: u64, coalesced: bool) -> (Kernel, [u32; 3]) {
    let share = share(bytes, coalesced) as u32;
    (Kernel::new(shader).constant(count, share).constant("COALESCED", coalesced.into()), grid(bytes, coalesced))
}

fn grid(bytes: u64, coalesced: bool) -> [u32; 3] {
    [(bytes / QUAD / share(bytes, coalesced) / WORKGROUP) as u32, 1, 1]
}

fn read(bytes: u64, coalesced: bool, (provider, quads): Loads) -> Dispatch {
    let reads = share(bytes, coalesced) / quads;
    let kernel =
        Kernel::new("roof_read").provider(provider).constant("READS", reads as u32).constant("COALESCED", coalesced.into());
    Dispatch::new(kernel, Vec::new(), grid(bytes, coalesced)).constant(0).write(1)
}

fn write(bytes: u64, coalesced: bool) -> Dispatch {
    let (kernel, grid) = mover("roof_write", "WRITES", bytes, coalesced);
    Dispatch::new(kernel, Vec::new(), grid).write(0)
}

fn copy(bytes: u64, coalesced: bool) -> Dispatch {
    let (kernel, grid) = mover("roof_copy", "COPIES", bytes, coalesced);
    Dispatch::new(kernel, Vec::new(), grid).constant(0).write(1)
}

fn multiply_add(number: &'static str, rounds: u32, groups: u32) -> Dispatch {
    let kernel = Kernel::new("roof_multiply_add").provider(number).constant("ROUNDS", rounds);
    Dispatch::new(kernel, Vec::new(), [groups, 1, 1]).write(0)
}

fn dot(rounds: u32, groups: u32) -> Dispatch {
    Dispatch::new(Kernel::new("roof_dot").constant("ROUNDS", rounds), Vec::new(), [groups, 1, 1]).write(0)
}

/// Matrices that subgroups multiply together: the provider, rows and columns, and whether they are of f16.
const MATRICES: [(&str, u64, bool); 3] =
    [("cooperative/half_16", 16, true), ("cooperative/half_8", 8, true), ("cooperative/float_8", 8, false)];
/// Independent sums of `roof_cooperative`, and invocations of its workgroups.
const SUMS: u64 = 4;
const TOGETHER: u32 = 128;
/// Most subgroups of such a workgroup: their matrices take workgroup memory.
const MOST_SUBGROUPS: u32 = 8;

fn cooperative(matrices: &'static str, slabs: u32, rounds: u32, groups: u32) -> Dispatch {
    let kernel = Kernel::new("roof_cooperative").provider(matrices).constant("SLABS", slabs).constant("ROUNDS", rounds);
    Dispatch::new(kernel, Vec::new(), [groups, 1, 1]).write(0)
}

/// Operations per second by the fastest matrices that the device has, or why there are none.
fn cooperative_flops(gpu: &Gpu, rounds: u32, groups: u32, effort: &Effort) -> Result<std::result::Result<f64, String>> {
    let caps = &gpu.info().caps;
    let listed = |half: bool, size: u64| {
        let found = if half { caps.cooperative.half.filter(|_| caps.half) } else { caps.cooperative.float };
        found.is_some_and(|found| u64::from(found) == size)
    };
    let found: Vec<_> = MATRICES.into_iter().filter(|(_, size, half)| listed(*half, *size)).collect();
    if found.is_empty() {
        return Ok(Err("the device has none, or was not opened with --experimental".into()));
    }
    let Some((_, slabs)) = caps.subgroups_of(TOGETHER).filter(|(_, most)| *most <= MOST_SUBGROUPS) else {
        return Ok(Err(format!("a workgroup of {TOGETHER} is more than {MOST_SUBGROUPS} subgroups, or not whole ones")));
    };
    let mut best = 0.0f64;
    for (matrices, size, _) in found {
        let series = gpu.series(&[u64::from(groups) * 8], &[cooperative(matrices, slabs, rounds, groups)])?;
        series.run(1)?;
        let written: Vec<[f32; 2]> = bytemuck::pod_collect_to_vec(&series.contents(0)?);
        // Each product adds SIZE quarters to every element of its sum.
        let expected = 24.0 + (u64::from(rounds) * size) as f32;
        if let Some([_, sum]) = written.iter().find(|[_, sum]| *sum != expected) {
            let what = format!("'{}' adds {matrices} up to {sum} instead of {expected}", gpu.info().name);
            return Err(Error::Check(what));
        }
        let subgroups: f64 = written.iter().map(|[subgroups, _]| f64::from(*subgroups)).sum();
        let of_one = (2 * size.pow(3) * SUMS * u64::from(rounds)) as f64;
        best = best.max(subgroups * of_one / seconds(&series, effort)?);
    }
    Ok(Ok(best))
}

fn empty() -> Dispatch {
    Dispatch::new(Kernel::new("roof_empty"), Vec::new(), [1, 1, 1]).write(0)
}

/// Measures the roofs of a device.
///
/// # Errors
/// [`Error::Device`] when it fails; [`Error::Check`] when a kernel that is measured did not do what it should.
pub fn measure(gpu: &Gpu, effort: &Effort, progress: Progress<'_>) -> Result<Roofs> {
    let caps = &gpu.info().caps;
    let largest = 1u64 << effort.largest.min(caps.max_binding).min(caps.max_buffer).max(SMALLEST).ilog2();
    let sizes: Vec<u64> = std::iter::successors(Some(largest), |bytes| Some(bytes / 4)).take_while(|b| *b >= SMALLEST).collect();
    let all = sizes.len() + 6;
    let mut bandwidth = Vec::new();
    for (done, bytes) in sizes.iter().rev().enumerate() {
        progress(done, all);
        bandwidth.push(of_size(gpu, *bytes, effort)?);
    }
    let mut done = sizes.len();
    let mut next = || {
        progress(done, all);
        done += 1;
    };
    // Enough workgroups to fill any device, and on a CPU few enough to end soon.
    let (rounds, groups) = if caps.width == Width::Wide { (512, 4096) } else { (128, 256) };
    let operations = |of_one: u64| (of_one * ROUND * u64::from(rounds) * u64::from(groups) * WORKGROUP) as f64;
    let written = u64::from(groups) * WORKGROUP * QUAD;
    let rate = |dispatch: Dispatch, of_one: u64| {
        let series = gpu.series(&[written], &[dispatch])?;
        Ok::<_, Error>(operations(of_one) / seconds(&series, effort)?)
    };
    next();
    let f32_flops = rate(multiply_add("roof/f32", rounds, groups), 2)?;
    next();
    let f16_flops = caps.half.then(|| rate(multiply_add("roof/f16", rounds, groups), 2)).transpose()?;
    next();
    let int8_ops = rate(dot(rounds, groups), 8)?;
    next();
    let (cooperative_flops, cooperative_reason) = match cooperative_flops(gpu, rounds, groups, effort)? {
        Ok(flops) => (Some(flops), None),
        Err(reason) => (None, Some(reason)),
    };
    next();
    let nothing = gpu.series(&[QUAD], &[empty()])?;
    let dispatch_seconds = seconds(&nothing, effort)?;
    next();
    let each = |one: &dyn Fn() -> Result<f64>| {
        let run = |n| Ok(move || (0..n).try_for_each(|_| one().map(|_| ())));
        Ok::<_, Error>(per_repetition(effort, 0.0, run)?.median)
    };
    let submit_seconds = each(&|| nothing.run(1))?;
    let readback_seconds = each(&|| nothing.read_back())?;
    progress(all, all);
    Ok(Roofs {
        memory: bandwidth.last().cloned().unwrap_or_default(),
        bandwidth,
        f32_flops,
        f16_flops,
        int8_ops,
        cooperative_flops,
        cooperative_reason,
        dispatch_seconds,
        submit_seconds,
        readback_seconds,
    })
}

/// The time of one of the series' runs within a submit of many.
fn seconds(series: &Series, effort: &Effort) -> Result<f64> {
    Ok(per_repetition(effort, 0.0, |n| Ok(move || series.run(n).map(|_| ())))?.median)
}

/// How fast bytes move in buffers of `bytes`, a power of two.
fn of_size(gpu: &Gpu, bytes: u64, effort: &Effort) -> Result<Bandwidth> {
    let mut found = Bandwidth { bytes, ..Bandwidth::default() };
    for coalesced in [false, true] {
        let series = gpu.series(&[bytes], &[write(bytes, coalesced)])?;
        found.write = found.write.max(bytes as f64 / seconds(&series, effort)?);
        drop(series);
        let lanes = bytes / share(bytes, coalesced);
        for loads in LOADS.into_iter().filter(|(_, quads)| *quads == 1 || gpu.info().caps.long_words()) {
            check_reads(gpu, bytes.min(SMALLEST), coalesced, loads)?;
            let series = gpu.series(&[bytes, lanes], &[read(bytes, coalesced, loads)])?;
            found.read = found.read.max(bytes as f64 / seconds(&series, effort)?);
        }
        let series = gpu.series(&[bytes, bytes], &[copy(bytes, coalesced)])?;
        found.copy = found.copy.max((2 * bytes) as f64 / seconds(&series, effort)?);
        if coalesced {
            let series = &series;
            let commands = per_repetition(effort, 0.0, |n| Ok(move || series.copy(n).map(|_| ())))?;
            found.copy = found.copy.max((2 * bytes) as f64 / commands.median);
        }
    }
    Ok(found)
}

/// Refuses a device on which the kernels do not read what they should: its roof would be too high.
fn check_reads(gpu: &Gpu, bytes: u64, coalesced: bool, loads: Loads) -> Result<()> {
    let lanes = bytes / share(bytes, coalesced);
    let dispatches = [write(bytes, coalesced), copy(bytes, coalesced), rebound(read(bytes, coalesced, loads))];
    let series = gpu.series(&[bytes, bytes, lanes], &dispatches)?;
    series.run(1)?;
    let sums: Vec<f32> = bytemuck::pod_collect_to_vec(&series.contents(2)?);
    // Numbers of the source are 0, 1, 2, 3 plus 0 to 7: 5 on average.
    let (sum, expected) = (sums.iter().map(|v| f64::from(*v)).sum::<f64>(), 5.0 * (bytes / 4) as f64);
    if sum == expected {
        return Ok(());
    }
    Err(Error::Check(format!("'{}' read a sum of {sum} instead of {expected}: its roof means nothing", gpu.info().name)))
}

/// The read of what a copy wrote: of the second buffer, to the third.
fn rebound(read: Dispatch) -> Dispatch {
    Dispatch::new(read.kernel, read.params, read.grid).constant(1).write(2)
}
