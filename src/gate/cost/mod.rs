//! What an invocation of a kernel does, counted in naga's representation of it.
//!
//! Counting runs the entry point with everything unknown but constants. Loops that a compiler could unroll are multiplied; of loops
//! with unknown bounds one iteration is counted, apart from the rest. Of branches whose condition is unknown, each count is that of
//! the arm where it is larger. Functions are counted where they are called, with the constants that they are given.
//! `docs/gate.md` says what this can tell.

mod constant;
mod operation;
mod trips;
mod walk;

use std::fmt;

use naga::Module;
use naga::valid::ModuleInfo;

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Barriers of the workgroup or of storage.
    Barriers,
    /// Loads of 2 bytes from storage.
    Load2,
    /// Loads of 4 bytes from storage.
    Load4,
    /// Loads of 8 bytes from storage.
    Load8,
    /// Loads of 12 bytes from storage.
    Load12,
    /// Loads of 16 bytes from storage.
    Load16,
    /// Stores of 2 bytes to storage.
    Store2,
    /// Stores of 4 bytes to storage.
    Store4,
    /// Stores of 8 bytes to storage.
    Store8,
    /// Stores of 12 bytes to storage.
    Store12,
    /// Stores of 16 bytes to storage.
    Store16,
    /// Loads of numbers or vectors from workgroup memory.
    SharedLoads,
    /// Stores of numbers or vectors to workgroup memory.
    SharedStores,
    /// Atomic operations.
    Atomics,
    /// Operations within a subgroup.
    Subgroup,
    /// Loads, stores and multiply-adds of cooperative matrices, which a whole subgroup does together.
    Matrix,
    /// Operations on floats: a fused multiply-add is two, a dot product of n is 2n - 1, everything else one a component.
    Flops,
    /// Operations on integers, addresses among them, counted likewise.
    Ints,
}

impl Count {
    /// All of them.
    pub const ALL: [Count; 18] = [
        Count::Barriers,
        Count::Load2,
        Count::Load4,
        Count::Load8,
        Count::Load12,
        Count::Load16,
        Count::Store2,
        Count::Store4,
        Count::Store8,
        Count::Store12,
        Count::Store16,
        Count::SharedLoads,
        Count::SharedStores,
        Count::Atomics,
        Count::Subgroup,
        Count::Matrix,
        Count::Flops,
        Count::Ints,
    ];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Count::Barriers => "barriers",
            Count::Load2 => "load2",
            Count::Load4 => "load4",
            Count::Load8 => "load8",
            Count::Load12 => "load12",
            Count::Load16 => "load16",
            Count::Store2 => "store2",
            Count::Store4 => "store4",
            Count::Store8 => "store8",
            Count::Store12 => "store12",
            Count::Store16 => "store16",
            Count::SharedLoads => "shared-loads",
            Count::SharedStores => "shared-stores",
            Count::Atomics => "atomics",
            Count::Subgroup => "subgroup",
            Count::Matrix => "matrix",
            Count::Flops => "flops",
            Count::Ints => "ints",
        }
    }

    /// The count of loads of `bytes` at once.
    fn load(bytes: u32) -> Count {
        match bytes {
            0..=2 => Count::Load2,
            3..=4 => Count::Load4,
            5..=8 => Count::Load8,
            9..=12 => Count::Load12,
            _ => Count::Load16,
        }
    }

    /// The count of stores of `bytes` at once.
    fn store(bytes: u32) -> Count {
        match bytes {
            0..=2 => Count::Store2,
            3..=4 => Count::Store4,
            5..=8 => Count::Store8,
            9..=12 => Count::Store12,
            _ => Count::Store16,
        }
    }
}

/// How often each [`Count`] occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Count::ALL.len()]);

impl Counts {
    /// How often that occurs.
    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// Bytes loaded from storage.
    pub fn loaded(&self) -> u64 {
        let widths = [(Count::Load2, 2), (Count::Load4, 4), (Count::Load8, 8), (Count::Load12, 12), (Count::Load16, 16)];
        widths.into_iter().map(|(count, bytes)| self.get(count) * bytes).sum()
    }

    /// Bytes stored to storage.
    pub fn stored(&self) -> u64 {
        let widths = [(Count::Store2, 2), (Count::Store4, 4), (Count::Store8, 8), (Count::Store12, 12), (Count::Store16, 16)];
        widths.into_iter().map(|(count, bytes)| self.get(count) * bytes).sum()
    }

    fn add(&mut self, count: Count, n: u64) {
        let place = &mut self.0[count as usize];
        *place = place.saturating_add(n);
    }

    fn with(&self, other: &Counts, join: impl Fn(u64, u64) -> u64) -> Counts {
        Counts(std::array::from_fn(|i| join(self.0[i], other.0[i])))
    }
}

/// What an invocation does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Outside of loops with unknown bounds.
    pub once: Counts,
    /// In such loops, if each of them made one iteration.
    pub repeated: Counts,
    /// How many such loops are run through, those within others counted for one iteration of these.
    pub loops: u64,
}

impl Cost {
    /// Both one after the other.
    fn plus(&self, other: &Cost) -> Cost {
        self.join(other, u64::saturating_add)
    }

    /// At most one of the two: of each count the larger.
    fn or(&self, other: &Cost) -> Cost {
        self.join(other, u64::max)
    }

    /// The same `n` times.
    fn times(&self, n: u64) -> Cost {
        self.join(self, |a, _| a.saturating_mul(n))
    }

    /// The same, an unknown number of times.
    fn repeated(&self) -> Cost {
        let repeated = self.once.with(&self.repeated, u64::saturating_add);
        Cost { once: Counts::default(), repeated, loops: self.loops.saturating_add(1) }
    }

    fn join(&self, other: &Cost, join: impl Fn(u64, u64) -> u64) -> Cost {
        Cost {
            once: self.once.with(&other.once, &join),
            repeated: self.repeated.with(&other.repeated, &join),
            loops: join(self.loops, other.loops),
        }
    }
}

impl fmt::Display for Cost {
    /// Each count that is not zero: `flops=3+16` stands for 3 once, and 16 in an iteration of loops with unknown bounds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for count in Count::ALL {
            match (self.once.get(count), self.repeated.get(count)) {
                (0, 0) => continue,
                (once, 0) => write!(f, "{gap}{}={once}", count.name())?,
                (once, repeated) => write!(f, "{gap}{}={once}+{repeated}", count.name())?,
            }
            gap = " ";
        }
        Ok(())
    }
}

/// Counts what the entry point of a validated module does.
pub(super) fn of(module: &Module, info: &ModuleInfo) -> Cost {
    walk::Walk::new(module, info).entry_point()
}
