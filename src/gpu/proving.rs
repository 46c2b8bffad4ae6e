//! Learning about a device while it is used: kernels are compared with the reference before their first use, and those that could
//! be used instead of one another are timed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::budget::{Allowance, Meter};
use super::record::Record;
use super::trial::Trial;
use super::{Gpu, WeightStore, launch};
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

/// What the comparison of one node with the reference showed.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The kernels that ran, or those that were refused.
    pub kernels: Vec<Kernel>,
    /// The largest error in units of its tolerance, or what was wrong.
    pub outcome: std::result::Result<f64, String>,
}

/// What kernels are tried with: a plan of a graph, the weights that the device has of it, where outcomes are noted, and what is left.
#[derive(Clone, Copy)]
struct Lesson<'a> {
    record: &'a Record,
    graph: &'a Graph,
    plan: &'a Plan,
    weights: &'a Arc<WeightStore>,
    meter: &'a Meter,
}

/// What came of comparing a step with the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Right,
    Wrong,
    /// It could not be run by itself, only with other kernels, or not in the time that is left.
    Untried,
}

impl Gpu {
    /// Compares a trial with the reference under a view of this device; `weights` keeps what was uploaded for trials of the same
    /// graph. A kernel that the driver refuses to compile is wrong too. The outcome is noted in the record where there is one, but not
    /// saved.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the node has no kernel under that view; [`Error::Device`] when the device fails altogether.
    pub fn verify(&self, trial: &Trial, view: View, weights: &Arc<WeightStore>) -> Result<Verdict> {
        let device = self.with_caps(|caps| *caps = caps.seen_as(view));
        let plan = plan::compile(trial.graph(), &Symbols::new(), &device.info().caps)?;
        let verdict = device.verdict(trial, &plan, weights)?;
        let Some(record) = self.record() else { return Ok(verdict) };
        for kernel in &verdict.kernels {
            match &verdict.outcome {
                Ok(_) if record.choices().struck.contains_key(&kernel.name()) => {}
                Ok(_) => record.prove(&kernel.name(), &self.source(kernel)?),
                Err(what) => record.strike(&kernel.name(), what),
            }
        }
        Ok(verdict)
    }

    /// What the comparison of a trial that has this plan with the reference shows.
    fn verdict(&self, trial: &Trial, plan: &Plan, weights: &Arc<WeightStore>) -> Result<Verdict> {
        let refusals = self.compile(&plan.dispatches().map(launch::key).collect::<Vec<_>>())?;
        if let Some(first) = refusals.first() {
            let outcome = Err(first.to_string());
            return Ok(Verdict { kernels: refusals.into_iter().map(|refusal| refusal.kernel).collect(), outcome });
        }
        let outcome = match trial.check(self, weights) {
            Ok((_, worst)) => Ok(worst),
            Err(Error::Check(what)) => Err(what),
            Err(e) => return Err(e),
        };
        Ok(Verdict { kernels: plan.dispatches().map(|d| d.kernel.clone()).collect(), outcome })
    }

    /// Compares the kernels of `plan` that were not compared yet with the reference, the cheapest first, as far as the
    /// record's budget goes. Returns whether any was struck.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails altogether.
    pub(super) fn prove(&self, record: &Record, graph: &Graph, plan: &Plan, weights: &Arc<WeightStore>) -> Result<bool> {
        if record.left().proving.is_spent() {
            return Ok(false);
        }
        let mut meter = Meter::new(record.left().proving);
        let device = self.settled(record.choices());
        let mut unproven = self.unproven(record, plan.dispatches().map(|d| &d.kernel))?;
        let (mut struck, mut untried, found) = (false, Vec::new(), unproven.len());
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
            if meter.left().is_spent() {
                log::info!("{} kernels are used unproven: the budget for proving is spent", unproven.len());
                // Nothing is timed in such a start: drivers compile everything for the first time, and the next has less to do.
                record.leave_for_tuning(Allowance::NONE);
                break;
            }
            match device.prove_step(Lesson { record, graph, plan, weights, meter: &meter }, step)? {
                Proof::Right => {}
                Proof::Wrong => struck = true,
                Proof::Untried => untried.push(plan.steps[step].name.as_str()),
            }
            meter.step();
            // Whether it was right, wrong or could not be compared, it is not tried again with this plan.
            kernels.iter().for_each(|k| _ = unproven.remove(&k.name()));
        }
        record.leave_for_proving(meter.left());
        log::info!("{} of {found} kernels tried", found - unproven.len());
        if !untried.is_empty() {
            log::info!("{} steps cannot be tried by themselves and run unproven: {}", untried.len(), untried.join(", "));
        }
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

    /// Compares one step with the reference and notes the outcome. What would take longer than is left is not begun.
    fn prove_step(&self, lesson: Lesson<'_>, step: usize) -> Result<Proof> {
        let Lesson { record, graph, plan, weights, meter } = lesson;
        let kernels: Vec<&Kernel> = plan.steps[step].dispatches.iter().map(|d| &d.kernel).collect();
        let seconds = plan.steps[step].flops as f64 / REFERENCE_RATE;
        for whole in [false, true] {
            if whole && !meter.affords(seconds) {
                return Ok(Proof::Untried);
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
                    return Ok(Proof::Untried);
                }
            }
        }
        Ok(Proof::Untried)
    }

    /// Times, for the nodes of `plan` that take the most operations, the lowerings that could be used instead of one another, as far
    /// as the record's budget goes. Returns whether any choice changed.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails altogether.
    pub(super) fn tune(&self, record: &Record, graph: &Graph, plan: &Plan, weights: &Arc<WeightStore>) -> Result<bool> {
        if record.left().tuning.is_spent() {
            return Ok(false);
        }
        let mut meter = Meter::new(record.left().tuning);
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
            if meter.left().is_spent() {
                log::info!("the budget for tuning is spent");
                break;
            }
            let view = self.fastest(Lesson { record, graph, plan, weights, meter: &meter }, step, &problems[step])?;
            meter.step();
            let Some(view) = view else { continue };
            changed |= caps.views().first() != Some(&view);
            record.prefer(signature, view);
        }
        record.leave_for_tuning(meter.left());
        record.save();
        Ok(changed)
    }

    /// The view under which a step runs fastest, of those that give right results; none where there is nothing to choose, or where
    /// the budget ends before all were compared. What was compared already is timed even then, so that every start comes further than
    /// the one before.
    fn fastest(&self, lesson: Lesson<'_>, step: usize, problem: &Problem<'_>) -> Result<Option<View>> {
        let Lesson { record, graph, plan, weights, meter } = lesson;
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
            let refusals = self.compile(&lowered.dispatches.iter().map(launch::key).collect::<Vec<_>>())?;
            if !refusals.is_empty() {
                record.strike_refused(&refusals);
                continue;
            }
            let device = self.with_caps(|c| *c = caps.seen_as(view)).settled(struck.clone());
            let kernels = lowered.dispatches.iter().map(|d| &d.kernel);
            if !self.unproven(record, kernels)?.is_empty() {
                if meter.left().is_spent() {
                    return Ok(None);
                }
                let mut other = plan.clone();
                other.steps[step].dispatches = lowered.dispatches;
                // The usual lowering is used whether it could be compared or not.
                let usual = caps.views().first() == Some(&view);
                match device.prove_step(Lesson { plan: &other, ..lesson }, step)? {
                    Proof::Untried if usual => {}
                    Proof::Right => {}
                    Proof::Untried | Proof::Wrong => continue,
                }
            }
            let limit = best.map_or(f64::INFINITY, |(_, seconds)| seconds * BETTER);
            let Some(seconds) = trial.time(&device, weights, limit, record.left().tuning)? else { continue };
            log::debug!("{}: {view} takes {:.1} us", problem.signature(), seconds * 1e6);
            if seconds < limit {
                best = Some((view, seconds));
            }
        }
        Ok(best.map(|(view, _)| view))
    }
}
