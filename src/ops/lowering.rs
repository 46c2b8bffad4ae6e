//! What an op sees while it is lowered: resolved operands, the device's limits, and a place for its dispatches.

use std::ops::Range;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::caps::Width;
use crate::kernel::{Caps, Dispatch, Kernel};
use crate::quant::Format;

/// Iterations of one loop that an invocation should do at most on a narrow device: llvmpipe leaves loops, without a word, when
/// an invocation's iterations of all its loops reach 65535 (its constant `LP_MAX_TGSI_LOOP_ITERATIONS`).
pub const NARROW_ITERATIONS: usize = 16384;

/// Workgroups that keep a narrow device busy.
pub const BUSY: usize = 16;

/// Workgroups below which the cores of a narrow device may lack work: smaller tiles are taken then.
pub const FEW: usize = 8;

/// An operand with its shape resolved.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Index of the plan's value.
    pub value: usize,
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// For weights: the rows of each chunk into which binding limits cut the packed planes. Empty otherwise.
    pub chunks: Vec<Range<usize>>,
}

impl Operand {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All dimensions but the last, multiplied.
    pub fn rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }

    /// The last dimension, 1 for a scalar.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }
}

/// A packed weight as kernels address it.
pub struct PackedWeight<'a> {
    /// The operand.
    pub operand: &'a Operand,
    /// Its format.
    pub format: &'static Format,
    /// Groups of 32 weights in a row.
    pub groups: usize,
}

impl PackedWeight<'_> {
    /// The provider file that loads it.
    pub fn provider(&self) -> String {
        format!("load/{}", self.operand.dtype)
    }

    /// Which planes exist.
    pub fn planes(&self) -> [bool; 3] {
        [self.format.quants > 0, self.format.scales > 0, self.format.high > 0]
    }
}

/// Matrices that the subgroups of a workgroup of 128 invocations multiply together.
pub struct Matrices {
    /// The provider file that names them.
    pub provider: &'static str,
    /// The fewest subgroups that such a workgroup has: 2 or 4.
    pub fewest: u32,
    /// The most: 4 at most.
    pub most: u32,
}

impl Matrices {
    /// Those of a device: of f16 where `half` allows these and the device has them, else of f32.
    pub fn of(caps: &Caps, half: bool) -> Option<Self> {
        let (fewest, most) = caps.subgroups_of(128).filter(|(fewest, most)| *fewest >= 2 && *most <= 4)?;
        let provider = match (caps.cooperative.half.filter(|_| half && caps.half), caps.cooperative.float) {
            (Some(16), _) => "cooperative/half_16",
            (Some(8), _) => "cooperative/half_8",
            (_, Some(8)) => "cooperative/float_8",
            _ => return None,
        };
        Some(Matrices { provider, fewest, most })
    }
}

/// The context of one op's lowering.
pub struct Lowering<'a> {
    /// The device, as kernels are chosen for it.
    pub caps: &'a Caps,
    /// Whether the device ends loops early ([`NARROW_ITERATIONS`]), whatever kernels are chosen.
    pub short_loops: bool,
    /// The inputs in the op's order.
    pub inputs: &'a [Operand],
    /// The outputs in the op's order.
    pub outputs: &'a [Operand],
    /// What was emitted so far.
    pub dispatches: Vec<Dispatch>,
    /// Values that only this op's dispatches use.
    pub scratch: Scratch,
}

/// Storage that one op's dispatches hand over among themselves.
#[derive(Clone, Debug)]
pub struct Scratch {
    /// The plan's index of the next one.
    next: usize,
    /// Those asked for, in order.
    pub operands: Vec<Operand>,
}

impl Scratch {
    /// None yet; the first will be the plan's value `next`.
    pub fn from(next: usize) -> Self {
        Scratch { next, operands: Vec::new() }
    }
}

impl Lowering<'_> {
    /// A value that lives for this op alone.
    pub fn scratch(&mut self, dtype: DType, shape: &[usize]) -> Operand {
        let operand = Operand { value: self.scratch.next, dtype, shape: shape.to_vec(), chunks: Vec::new() };
        self.scratch.next += 1;
        self.scratch.operands.push(operand.clone());
        operand
    }

    /// Emits a dispatch; one without workgroups is dropped.
    pub fn emit(&mut self, dispatch: Dispatch) {
        if dispatch.grid.iter().all(|n| *n > 0) {
            self.dispatches.push(dispatch);
        }
    }

    /// The input `i` as a packed weight.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when it is no weight or its element type has no packed form.
    pub fn weight(&self, i: usize) -> Result<PackedWeight<'_>> {
        let operand = &self.inputs[i];
        let format = Format::of(operand.dtype).filter(|_| !operand.chunks.is_empty());
        let format = format.ok_or_else(|| Error::Unsupported(format!("a {} operand as a packed weight", operand.dtype)))?;
        Ok(PackedWeight { operand, format, groups: format.groups(operand.columns()) })
    }

    /// Lanes of a workgroup that reduces rows of `n` elements: a power of two, enough for the row, few on narrow devices.
    pub fn row_lanes(&self, n: usize) -> u32 {
        let most = match self.caps.width {
            Width::Wide => 256,
            Width::Narrow => (n.div_ceil(NARROW_ITERATIONS).next_power_of_two() as u32).clamp(8, 256),
        };
        (n.div_ceil(4).next_power_of_two() as u32).clamp(8, most)
    }

    /// Refuses a kernel of which an invocation would loop more often than a narrow device does.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the number.
    pub fn check_iterations(&self, iterations: usize) -> Result<()> {
        if !self.short_loops || iterations <= 3 * NARROW_ITERATIONS {
            return Ok(());
        }
        Err(Error::Unsupported(format!("an element made in {iterations} iterations, on a narrow device")))
    }

    /// Links the reduction that suits workgroups of `lanes`: within a subgroup where every subgroup is as large.
    pub fn reduction(&self, kernel: Kernel, lanes: u32) -> Kernel {
        let stem = if self.caps.subgroup_at_least(lanes) { "reduce/subgroup" } else { "reduce/workgroup" };
        kernel.constant("LANES", lanes).provider(stem)
    }
}
