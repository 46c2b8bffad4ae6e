//! What kernel choice may know about a device.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a device runs invocations, which decides between families of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Width {
    /// A GPU: many lanes, workgroup memory is fast, neighbouring lanes should read neighbouring words.
    Wide,
    /// A CPU that runs shaders (lavapipe, SwiftShader): few lanes, barriers are dear, each lane should read its own
    /// contiguous run.
    Narrow,
}

/// The size of square matrices that a subgroup multiplies together, by the type of their elements; sums are in f32. Nothing
/// where there are none, or none that may be relied on: no software device has them, so that kernels on them are proven on a
/// device itself or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cooperative {
    /// Of f16: 8 or 16.
    pub half: Option<u32>,
    /// Of f32: 8.
    pub float: Option<u32>,
}

/// A way to look at a device: as what it is, or as a lesser one, whose kernels run on it too.
///
/// Every choice of kernels depends on [`Caps`] alone, so the views of a device lead to every kernel that it could use instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct View {
    /// Which family of kernels.
    pub width: Width,
    /// Whether kernels may use subgroups, where the device has them.
    pub subgroups: bool,
    /// Whether kernels may compute in f16, where the device can.
    pub half: bool,
    /// Whether kernels may compute in integers of 64 bits, where the device can.
    #[serde(default)]
    pub long: bool,
    /// Whether subgroups may multiply matrices together, where the device has such.
    pub matrices: bool,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.width == Width::Wide { "wide" } else { "narrow" };
        f.write_str(width)?;
        let parts = [(self.subgroups, "subgroups"), (self.half, "f16"), (self.long, "i64"), (self.matrices, "matrices")];
        parts.iter().filter(|(has, _)| *has).try_for_each(|(_, part)| write!(f, "+{part}"))
    }
}

/// Limits and features of a device that lowering and memory planning depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caps {
    /// Largest bytes of one storage binding.
    pub max_binding: u64,
    /// Largest bytes of one buffer.
    pub max_buffer: u64,
    /// Bytes to which the offset of a storage binding must be aligned.
    pub storage_align: u32,
    /// Bytes to which the offset of a uniform binding must be aligned.
    pub uniform_align: u32,
    /// Most workgroups in one dimension of a grid.
    pub max_grid: u32,
    /// Smallest and largest subgroup size, where subgroup operations exist.
    pub subgroup: Option<(u32, u32)>,
    /// Whether shaders may compute in f16.
    pub half: bool,
    /// Whether shaders may compute in integers of 64 bits.
    pub long: bool,
    /// Matrices that subgroups multiply together.
    pub cooperative: Cooperative,
    /// Which family of kernels suits.
    pub width: Width,
}

impl Caps {
    /// The least that any device offers (browser defaults): what a plain variant must run on.
    pub fn plain() -> Self {
        Caps {
            max_binding: 128 << 20,
            max_buffer: 256 << 20,
            storage_align: 256,
            uniform_align: 256,
            max_grid: 65535,
            subgroup: None,
            half: false,
            long: false,
            cooperative: Cooperative::default(),
            width: Width::Wide,
        }
    }

    /// Subgroups of a workgroup of `lanes`: the fewest and the most, where every workgroup is whole subgroups.
    pub fn subgroups_of(&self, lanes: u32) -> Option<(u32, u32)> {
        let (min, max) = self.subgroup.filter(|(min, max)| *min > 0 && lanes.is_multiple_of(*max))?;
        Some((lanes / max, lanes / min))
    }

    /// The views of the device, as itself first, then by how little they give up.
    pub fn views(&self) -> Vec<View> {
        let other = if self.width == Width::Wide { Width::Narrow } else { Width::Wide };
        let has = [self.subgroup.is_some(), self.half, self.long, self.cooperative != Cooperative::default()];
        let mut views = Vec::new();
        for width in [self.width, other] {
            // A bit for each part that is given up.
            let mut given_up: Vec<u32> = (0..16).filter(|up: &u32| (0..4).all(|i| has[i] || up >> i & 1 == 0)).collect();
            given_up.sort_by_key(|up| (up.count_ones(), std::cmp::Reverse(*up)));
            let view = |up: u32| {
                let [subgroups, half, long, matrices] = [0, 1, 2, 3].map(|i| has[i] && up >> i & 1 == 0);
                View { width, subgroups, half, long, matrices }
            };
            views.extend(given_up.into_iter().map(view));
        }
        views
    }

    /// The device under one of its views.
    pub fn seen_as(&self, view: View) -> Caps {
        let cooperative = if view.matrices { self.cooperative } else { Cooperative::default() };
        let subgroup = self.subgroup.filter(|_| view.subgroups);
        let (half, long) = (self.half && view.half, self.long && view.long);
        Caps { width: view.width, subgroup, half, long, cooperative, ..self.clone() }
    }

    /// Whether shaders may take any operand by four words of 64 bits at once.
    pub fn long_words(&self) -> bool {
        self.long && self.storage_align.is_multiple_of(32)
    }

    /// Whether every subgroup has at least `lanes` invocations.
    pub fn subgroup_at_least(&self, lanes: u32) -> bool {
        self.subgroup.is_some_and(|(min, _)| min >= lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_device_is_given_up_by_some_view_alone() {
        let caps = Caps { subgroup: Some((8, 8)), half: true, long: true, ..Caps::plain() };
        let views = caps.views();
        assert_eq!(caps.seen_as(views[0]), caps);
        let full = views[0];
        for lesser in [View { subgroups: false, ..full }, View { half: false, ..full }, View { long: false, ..full }] {
            assert!(views.contains(&lesser), "no view '{lesser}'");
            let seen = caps.seen_as(lesser);
            assert_eq!((seen.subgroup.is_some(), seen.half, seen.long), (lesser.subgroups, lesser.half, lesser.long));
        }
        let without = Caps { long: false, ..caps };
        assert!(without.views().iter().all(|view| !view.long));
    }
}
