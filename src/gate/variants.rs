//! Every kernel that the planner may pick, and where.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Profile, cases};
use crate::error::Result;
use crate::kernel::{Caps, Dispatch, Kernel};
use crate::plan::{self, Plan};
use crate::shape::Symbols;

/// What the dispatches of a kernel that were planned for one profile ask for, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Storage buffers bound.
    pub storage_buffers: u32,
    /// Bind groups, those that are left empty included.
    pub bind_groups: u32,
    /// Workgroups in one dimension of the grid.
    pub grid: u32,
    /// How many dispatches there are.
    pub dispatches: usize,
}

impl Use {
    fn of(dispatch: &Dispatch) -> Self {
        Use {
            storage_buffers: dispatch.bindings.len() as u32,
            bind_groups: dispatch.bindings.iter().map(|b| b.group + 1).max().unwrap_or(1),
            grid: dispatch.grid.into_iter().max().unwrap_or(0),
            dispatches: 1,
        }
    }

    fn and(self, other: Use) -> Self {
        Use {
            storage_buffers: self.storage_buffers.max(other.storage_buffers),
            bind_groups: self.bind_groups.max(other.bind_groups),
            grid: self.grid.max(other.grid),
            dispatches: self.dispatches + other.dispatches,
        }
    }
}

/// A kernel, and the profiles for which it was planned.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The kernel.
    pub kernel: Kernel,
    /// By the index of the profile.
    pub uses: BTreeMap<usize, Use>,
}

/// The kernels of all cases, planned for all profiles under every view of them, in the order of [`Kernel`].
///
/// # Errors
/// Those of [`plan::compile`]: every case must run everywhere.
pub fn variants(profiles: &[Profile]) -> Result<Vec<Variant>> {
    variants_under(profiles, usize::MAX)
}

/// Those that the profiles get as they are, without the ones that could replace them.
///
/// # Errors
/// As [`variants`].
pub fn own_variants(profiles: &[Profile]) -> Result<Vec<Variant>> {
    variants_under(profiles, 1)
}

fn variants_under(profiles: &[Profile], most_views: usize) -> Result<Vec<Variant>> {
    let graphs = cases::graphs();
    variants_of(profiles, |caps| {
        let views = caps.views().into_iter().take(most_views).map(|view| caps.seen_as(view));
        views.flat_map(|caps| graphs.iter().map(move |graph| plan::compile(graph, &Symbols::new(), &caps))).collect()
    })
}

/// The kernels of the plans that `plans` makes for each profile, in the order of [`Kernel`].
///
/// # Errors
/// Those of `plans`.
pub fn variants_of(profiles: &[Profile], plans: impl Fn(&Caps) -> Result<Vec<Plan>> + Sync) -> Result<Vec<Variant>> {
    let uses = |profile: &Profile| -> Result<BTreeMap<Kernel, Use>> {
        let mut uses: BTreeMap<Kernel, Use> = BTreeMap::new();
        for dispatch in plans(&profile.caps)?.iter().flat_map(Plan::dispatches) {
            let most = uses.entry(dispatch.kernel.clone()).or_default();
            *most = most.and(Use::of(dispatch));
        }
        Ok(uses)
    };
    let planned: Vec<_> = profiles.par_iter().map(uses).collect::<Result<_>>()?;
    let mut variants: BTreeMap<Kernel, BTreeMap<usize, Use>> = BTreeMap::new();
    for (profile, uses) in planned.into_iter().enumerate() {
        for (kernel, used) in uses {
            variants.entry(kernel).or_default().insert(profile, used);
        }
    }
    Ok(variants.into_iter().map(|(kernel, uses)| Variant { kernel, uses }).collect())
}
