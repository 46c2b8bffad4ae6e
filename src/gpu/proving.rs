//! Learning about a device while it is used: kernels are compared with the reference before their first use, and those that could
//! be used instead of one another are timed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record::{Budget, Record};
use super::trial::{Fill, Trial};
use super::{Gpu, WeightStore};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::kernel::caps::View;
use crate::kernel::{Caps, Kernel};
use crate::plan::choices::Problem;
use crate::plan::{self, Choices, Plan};
use crate::shape::Symbols;

/// Operations of an example that the reference is given: some hundredths of a second.
const REFERENCE_FLOPS: u64 = 16_000_000;
/// Operations of a second's comparison with the reference, at least: what it computes twice and more, for results and tolerance.
const REFERENCE_RATE: f64 = 3e8;
/// Nodes with less than this part of a plan's operations are not timed.
const SHARE: f64 = 0.005;
/// What another kernel must need at most of the usual one's time to be used instead: less would be noise.
const BETTER: f64 = 0.9;

/// When the time for something is up: never, where no clock goes so far.
#[derive(Clone, Copy)]
struct End(Option<Instant>);

impl End {
    /// After that time from now.
    fn after(time: Duration) -> Self {
        End(Instant::now().checked_add(time))
    }

    /// Seconds that are left.
    fn left(self) -> f64 {
        self.0.map_or(f64::INFINITY, |end| end.saturating_duration_since(Instant::now()).as_secs_f64())
    }
}

/// What kernels are tried with: a plan of a graph, the weights that the device has of it, where outcomes are noted, and until when.
#[derive(Clone, Copy)]
struct Lesson<'a> {
    record: &'a Record,
    graph: &'a Graph,
    plan: &'a Plan,
    weights: &'a Arc<WeightStore>,
    end: End,
}

/// What is known of a step's kernels after a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Right,
    Wrong,
    /// It could not be compared by itself, or not in the time that is left.
    Unknown,
}

/// What the comparison of one node with the reference showed.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The kernels that ran.
    pub kernels: Vec<Kernel>,
    /// The largest error in units of its tolerance, or what was wrong.
    pub outcome: std::result::Result<f64, String>,
}

impl Gpu {
    /// Compares the only node of a graph with the reference, on made-up operands, under a view of this device. The outcome is noted
    /// in the record where there is one, but not saved.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the node has no kernel under that view; [`Error::Device`] when the device fails altogether.
    pub fn verify(&self, graph: &Graph, view: View, fill: Fill) -> Result<Verdict> {
        let device = self.with_caps(|caps| *caps = caps.seen_as(view));
        let trial = Trial::of_graph(graph, fill)?;
        let plan = plan::compile(graph, &Symbols::new(), &device.info().caps)?;
        let kernels: Vec<Kernel> = plan.dispatches().map(|d| d.kernel.clone()).collect();
        let outcome = match trial.check(&device, &WeightStore::new(&device)) {
            Ok((_, worst)) => Ok(worst),
            Err(Error::Check(what)) => Err(what),
            Err(e) => return Err(e),
        };
        let record = self.record();
        for (record, kernel) in record.iter().flat_map(|record| kernels.iter().map(move |kernel| (record, kernel))) {
            match &outcome {
                Ok(_) if record.choices().struck.contains_key(&kernel.name()) => {}
                Ok(_) => record.prove(&kernel.name(), &self.source(kernel)?),
                Err(what) => record.strike(&kernel.name(), what),
            }
        }
        Ok(Verdict { kernels, outcome })
    }

    /// Compares the kernels of `plan` that were not compared yet with the reference, the cheapest first, until the record's time is
    /// up. Returns whether any was struck.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails altogether.
    pub(super) fn prove(&self, record: &Record, graph: &Graph, plan: &Plan, weights: &Arc<WeightStore>) -> Result<bool> {
        let limit = record.left().proving;
        if limit.is_zero() {
            return Ok(false);
        }
        let (started, end) = (Instant::now(), End::after(limit));
        let device = self.settled(record.choices());
        let mut unproven = self.unproven(record, plan.dispatches().map(|d| &d.kernel))?;
        let (mut struck, found) = (false, unproven.len());
        if found == 0 {
            return Ok(false);
        }
        let mut order: Vec<usize> = (0..plan.steps.len()).collect();
        order.sort_by_key(|step| plan.steps[*step].flops);
        for step in order {
            let kernels: Vec<&Kernel> = plan.steps[step].dispatches.iter().map(|d| &d.kernel).collect();
            if !kernels.iter().any(|k| unproven.contains(&k.name())) {
                continue;
            }
            if end.left() == 0.0 {
                log::info!("{} kernels are used unproven: the time for proving is up", unproven.len());
                // Nothing is timed in such a start: drivers compile everything for the first time, and the next has less to do.
                record.spend(Budget { proving: Duration::ZERO, tuning: record.left().tuning });
                break;
            }
            struck |= device.prove_step(Lesson { record, graph, plan, weights, end }, step)? == Proof::Wrong;
            // Whether it was right, wrong or could not be compared, it is not tried again with this plan.
            kernels.iter().for_each(|k| _ = unproven.remove(&k.name()));
        }
        record.spend(Budget { proving: started.elapsed(), tuning: Duration::ZERO });
        log::info!("{} of {found} kernels tried in {:.2} s", found - unproven.len(), started.elapsed().as_secs_f64());
        record.save();
        Ok(struck)
    }

    /// The names of those kernels that were not proven as they are now.
    fn unproven<'a>(&self, record: &Record, kernels: impl Iterator<Item = &'a Kernel>) -> Result<BTreeSet<String>> {
        let (mut seen, mut unproven) = (BTreeSet::new(), BTreeSet::new());
        for kernel in kernels {
            let name = kernel.name();
            if seen.insert(name.clone()) && !record.is_proven(&name, &self.source(kernel)?) {
                unproven.insert(name);
            }
        }
        Ok(unproven)
    }

    /// Compares one step with the reference and notes the outcome. What would take until after `end` is not begun.
    fn prove_step(&self, lesson: Lesson<'_>, step: usize) -> Result<Proof> {
        let Lesson { record, graph, plan, weights, end } = lesson;
        let kernels: Vec<&Kernel> = plan.steps[step].dispatches.iter().map(|d| &d.kernel).collect();
        let seconds = plan.steps[step].flops as f64 / REFERENCE_RATE;
        for whole in [false, true] {
            if whole && seconds > end.left() {
                return Ok(Proof::Unknown);
            }
            let trial = match whole {
                false => Trial::of_step_within(graph, plan, step, REFERENCE_FLOPS)?,
                true => Trial::of_step(graph, plan, step)?,
            };
            match trial.check(self, weights) {
                Ok((ran, _)) => {
                    let same: Vec<&&Kernel> = kernels.iter().filter(|k| ran.dispatches().any(|d| d.kernel == ***k)).collect();
                    for kernel in &same {
                        record.prove(&kernel.name(), &self.source(kernel)?);
                    }
                    // Smaller shapes may lead to other kernels; then the whole is tried.
                    if same.len() == kernels.len() {
                        return Ok(Proof::Right);
                    }
                }
                Err(Error::Check(reason)) => {
                    kernels.iter().for_each(|kernel| record.strike(&kernel.name(), &reason));
                    return Ok(Proof::Wrong);
                }
                Err(e @ Error::Device { .. }) => return Err(e),
                Err(e) => {
                    log::debug!("{} '{}' cannot be tried by itself: {e}", plan.steps[step].op, plan.steps[step].name);
                    return Ok(Proof::Unknown);
                }
            }
        }
        Ok(Proof::Unknown)
    }

    /// Times, for the nodes of `plan` that take the most operations, the lowerings that could be used instead of one another, until
    /// the record's time is up. Returns whether any choice changed.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails altogether.
    pub(super) fn tune(&self, record: &Record, graph: &Graph, plan: &Plan, weights: &Arc<WeightStore>) -> Result<bool> {
        let limit = record.left().tuning;
        if limit.is_zero() {
            return Ok(false);
        }
        let (started, end) = (Instant::now(), End::after(limit));
        let caps = &self.info().caps;
        let problems = plan::problems(graph, &plan.symbols, caps)?;
        // One step for all that compute the same, with the operations of all of them.
        let mut alike: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        for (step, problem) in problems.iter().enumerate() {
            alike.entry(problem.signature()).or_insert((step, 0)).1 += plan.steps[step].flops;
        }
        let total: u64 = plan.steps.iter().map(|s| s.flops).sum();
        let known = record.choices().fastest;
        let worth = |(signature, (_, flops)): &(String, (usize, u64))| {
            *flops as f64 >= SHARE * total as f64 && !known.contains_key(signature)
        };
        let mut order: Vec<(String, (usize, u64))> = alike.into_iter().filter(worth).collect();
        order.sort_by_key(|(_, (_, flops))| std::cmp::Reverse(*flops));
        let mut changed = false;
        for (signature, (step, _)) in order {
            if end.left() == 0.0 {
                log::info!("the time for tuning is up");
                break;
            }
            let view = self.fastest(Lesson { record, graph, plan, weights, end }, step, &problems[step])?;
            let Some(view) = view else { continue };
            changed |= caps.views().first() != Some(&view);
            record.prefer(signature, view);
        }
        record.spend(Budget { proving: Duration::ZERO, tuning: started.elapsed() });
        record.save();
        Ok(changed)
    }

    /// The view under which a step runs fastest, of those that give right results; none where there is nothing to choose, or where
    /// `end` comes before all were compared. What was compared already is timed even then, so that every start comes further than
    /// the one before.
    fn fastest(&self, lesson: Lesson<'_>, step: usize, problem: &Problem<'_>) -> Result<Option<View>> {
        let Lesson { record, graph, plan, weights, end } = lesson;
        let caps: &Caps = &self.info().caps;
        let candidates = problem.candidates(caps);
        if candidates.len() < 2 {
            return Ok(None);
        }
        let trial = Trial::of_step(graph, plan, step)?;
        let struck = Choices { fastest: BTreeMap::new(), ..record.choices() };
        let mut best: Option<(View, f64)> = None;
        for (view, lowered) in candidates {
            if record.choices().fault(&lowered).is_some() {
                continue;
            }
            let device = self.with_caps(|c| *c = caps.seen_as(view)).settled(struck.clone());
            let kernels = lowered.dispatches.iter().map(|d| &d.kernel);
            if !self.unproven(record, kernels)?.is_empty() {
                if end.left() == 0.0 {
                    return Ok(None);
                }
                let mut other = plan.clone();
                other.steps[step].dispatches = lowered.dispatches;
                // The usual lowering is used whether it could be compared or not.
                let usual = caps.views().first() == Some(&view);
                match device.prove_step(Lesson { plan: &other, ..lesson }, step)? {
                    Proof::Unknown if usual => {}
                    Proof::Right => {}
                    Proof::Unknown | Proof::Wrong => continue,
                }
            }
            let limit = best.map_or(f64::INFINITY, |(_, seconds)| seconds * BETTER);
            let Some(seconds) = trial.time(&device, weights, limit)? else { continue };
            log::debug!("{}: {view} takes {:.1} us", problem.signature(), seconds * 1e6);
            if seconds < limit {
                best = Some((view, seconds));
            }
        }
        Ok(best.map(|(view, _)| view))
    }
}
