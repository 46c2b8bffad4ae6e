//! What the gate says of a variant, and what it finds wrong.

use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Cost, Count, Feature, Profile, Shader, Target, Use, Variant};
use crate::error::Result;
use crate::kernel::linker;

/// What is known of a variant without running it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The variant.
    pub variant: Variant,
    /// Its [`Kernel::name`](crate::kernel::Kernel::name).
    pub name: String,
    /// Invocations of a workgroup in x, y and z.
    pub workgroup_size: [u32; 3],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Storage buffers that it reaches.
    pub storage_buffers: u32,
    /// What it needs of a device's shading language.
    pub features: Vec<Feature>,
    /// What an invocation does.
    pub cost: Cost,
    /// Languages into which it was not translated, and why.
    pub refusals: Vec<(Target, String)>,
}

impl Report {
    /// Links, validates, measures and translates a variant.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it does not link or is not valid WGSL.
    pub fn of(variant: Variant) -> Result<Self> {
        let name = variant.kernel.name();
        let shader = Shader::parse(&name, &linker::link(&variant.kernel)?)?;
        let refusal = |target: Target| shader.translate(target).err().map(|e| (target, e.to_string()));
        Ok(Report {
            workgroup_size: shader.workgroup_size(),
            workgroup_bytes: shader.workgroup_bytes(),
            storage_buffers: shader.storage_buffers(),
            features: shader.features().iter().copied().collect(),
            cost: shader.cost(),
            refusals: Target::ALL.into_iter().filter_map(refusal).collect(),
            variant,
            name,
        })
    }

    /// The report as JSON; uses by the names of `profiles`.
    pub fn to_json(&self, profiles: &[Profile]) -> Value {
        let counts = |counts: &super::Counts| -> Value {
            let each = Count::ALL.iter().map(|count| (count.name().to_owned(), json!(counts.get(*count))));
            let bytes =
                [("loaded-bytes".to_owned(), json!(counts.loaded())), ("stored-bytes".to_owned(), json!(counts.stored()))];
            Value::Object(each.chain(bytes).collect())
        };
        let uses = self.variant.uses.keys().filter_map(|i| profiles.get(*i)).map(|profile| &profile.name);
        let targets = Target::ALL.iter().map(|target| {
            let refusal = self.refusals.iter().find(|(refused, _)| refused == target);
            (target.name().to_owned(), json!(refusal.map_or("translated", |(_, why)| why)))
        });
        json!({
            "name": self.name,
            "profiles": uses.collect::<Vec<_>>(),
            "workgroup_size": self.workgroup_size,
            "workgroup_bytes": self.workgroup_bytes,
            "storage_buffers": self.storage_buffers,
            "features": self.features.iter().map(|f| f.name()).collect::<Vec<_>>(),
            "once": counts(&self.cost.once),
            "loops_of_unknown_bounds": self.cost.loops,
            "per_iteration_of_these": counts(&self.cost.repeated),
            "targets": Value::Object(targets.collect()),
        })
    }

    /// The least subgroup that it takes, where it uses subgroups at all: its `LANES`, or 8 where it has none.
    fn subgroup(&self) -> Option<u32> {
        let lanes = self.variant.kernel.consts.iter().find(|(name, _)| name == "LANES").map_or(8, |(_, lanes)| *lanes);
        self.features.contains(&Feature::Subgroups).then_some(lanes)
    }

    /// What of it a profile does not offer.
    fn breaks(&self, profile: &Profile, asked: &Use) -> Vec<String> {
        let limits = &profile.limits;
        let [x, y, z] = self.workgroup_size;
        let [most_x, most_y, most_z] = limits.workgroup_size;
        let numbers = [
            ("storage buffers", asked.storage_buffers, limits.storage_buffers),
            ("bind groups", asked.bind_groups, limits.bind_groups),
            ("bytes of workgroup memory", self.workgroup_bytes, limits.workgroup_bytes),
            ("invocations", x.saturating_mul(y).saturating_mul(z), limits.invocations),
            ("invocations in x", x, most_x),
            ("invocations in y", y, most_y),
            ("invocations in z", z, most_z),
            ("workgroups in one dimension", asked.grid, profile.caps.max_grid),
        ];
        let beyond = numbers.iter().filter(|(_, asked, limit)| asked > limit);
        let mut found: Vec<String> = beyond.map(|(what, asked, limit)| format!("{asked} {what}, of {limit}")).collect();
        if asked.grid == 0 {
            found.push("a grid without workgroups".into());
        }
        found.extend(
            self.features.iter().filter(|feature| !profile.offers(**feature)).map(|feature| format!("the feature {feature}")),
        );
        if let (Some(lanes), Some((least, _))) = (self.subgroup(), profile.caps.subgroup)
            && lanes > least
        {
            found.push(format!("subgroups of {lanes}, where they may have {least}"));
        }
        found
    }

    /// Translations that failed where the language has all it takes, and those that succeeded where it is said to lack something.
    fn mistranslations(&self) -> Vec<String> {
        let verdict = |target: &Target| {
            let lacks = self.features.iter().find_map(|feature| target.lacks(*feature));
            let refusal = self.refusals.iter().find(|(refused, _)| refused == target);
            match (lacks, refusal) {
                (None, Some((_, why))) => Some(why.clone()),
                (Some(reason), None) => Some(format!("{} was translated to {}, though {reason}", self.name, target.name())),
                _ => None,
            }
        };
        Target::ALL.iter().filter_map(verdict).collect()
    }
}

/// The reports of variants, in their order.
///
/// # Errors
/// Those of [`Report::of`].
pub fn reports(variants: Vec<Variant>) -> Result<Vec<Report>> {
    variants.into_par_iter().map(Report::of).collect()
}

/// What is wrong with variants, a sentence each: limits and features of the profiles that they were planned for, and translations.
pub fn problems(reports: &[Report], profiles: &[Profile]) -> Vec<String> {
    let mut found = Vec::new();
    for report in reports {
        for (index, asked) in &report.variant.uses {
            let Some(profile) = profiles.get(*index) else { continue };
            let broken = report.breaks(profile, asked);
            found.extend(broken.iter().map(|what| format!("{} on {} takes {what}", report.name, profile.name)));
        }
        found.extend(report.mistranslations());
    }
    found
}
