//! The kernels of a convolution, and which one runs.

use super::geometry::{Axis, Geometry};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::caps::Width;
use crate::kernel::{Caps, Dispatch, Expr, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::ops::{Lowering, tail};

/// Outputs of a row that one invocation of `conv_depthwise` makes.
const RUN: usize = 8;

/// The ways to convolve.
enum Choice {
    /// One output an invocation: `conv`.
    Plain,
    /// Runs of a row: `conv_depthwise`.
    Depthwise,
    /// A product without workgroup memory, so many filters a lane: `conv_rows`.
    Rows(usize),
    /// A product through workgroup memory: `conv_tiles`.
    Tiles,
}

/// Chooses the kernel.
fn choose(caps: &Caps, dtype: DType, g: &Geometry) -> Choice {
    let [depth, height, width] = g.axes;
    let product = |filters: usize, pixels: usize| {
        let grid = [g.outputs().div_ceil(pixels), g.filters.div_ceil(filters), g.batch * g.groups];
        grid.iter().all(|n| *n <= caps.max_grid as usize)
    };
    let rows = g.filters.div_ceil(8).next_power_of_two().min(4);
    match caps.width {
        _ if dtype != DType::F32 => Choice::Plain,
        // By reasoning: there is no sum over channels to share inputs for, so the loads of neighbouring outputs are shared.
        _ if g.channels == 1 && depth == Axis::ONE && height.dilation == 1 && width.dilation == 1 => Choice::Depthwise,
        // Measured on lavapipe: a load costs as much as 60 products, so each is shared by 32 outputs or by 8 filters a row. Four
        // filters a lane are as fast as eight, and twice as fast as one.
        Width::Narrow if caps.subgroup_at_least(8) && g.filters >= 4 && product(8 * rows, 32) => Choice::Rows(rows),
        // By reasoning: tiles that are mostly empty cost more than they share.
        Width::Wide if g.filters >= 16 && g.depth() >= 8 && product(64, 64) => Choice::Tiles,
        _ => Choice::Plain,
    }
}

/// Emits the convolution.
pub fn lower(cx: &mut Lowering<'_>, g: &Geometry, expr: &Expr) -> Result<()> {
    let (x, weight, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
    let grid = |elements: usize| linear_grid(elements.div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
    let axes = |axes: &[Axis]| axes.iter().flat_map(|a| a.words()).collect::<Vec<u32>>();
    let words = |numbers: &[usize]| numbers.iter().map(|n| *n as u32).collect::<Vec<u32>>();
    let (kernel, params, grid) = match choose(cx.caps, x.dtype, g) {
        Choice::Plain => {
            let params = words(&[out.len(), g.channels, g.filters, g.groups]);
            let element = if x.dtype == DType::I64 { "conv/i32" } else { "conv/f32" };
            (Kernel::new("conv").provider(element), [params, axes(&g.axes)].concat(), grid(out.len()))
        }
        Choice::Depthwise => {
            let runs = g.axes[2].output.div_ceil(RUN);
            let count = runs * (out.len() / g.axes[2].output);
            let params = words(&[g.filters, g.groups, runs, count]);
            (Kernel::new("conv_depthwise"), [params, axes(&g.axes[1..])].concat(), grid(count))
        }
        Choice::Rows(rows) => {
            let kernel = Kernel::new("conv_rows").constant("ROWS", rows as u32);
            let kernel = match g.is_pointwise() && g.outputs().is_multiple_of(4) {
                true => kernel.provider("conv/pointwise"),
                false => kernel.provider("conv/window").provider("conv/window_quads"),
            };
            product(kernel, g, 1, [32, 8 * rows])
        }
        Choice::Tiles => product(Kernel::new("conv_tiles").provider("conv/window"), g, 4, [64, 64]),
    };
    let kernel = match x.dtype {
        DType::I64 => kernel,
        _ => kernel.tail(tail::lower(expr, &cx.inputs[2..], out, 1)?),
    };
    let dispatch = Dispatch::new(kernel, params, grid).read(x.value).read(weight.value).write(out.value);
    cx.emit(tail::bind(dispatch, &cx.inputs[2..]));
    Ok(())
}

/// The parts of a dispatch that multiplies filters by windows, visits every `step`-th tap at once, and covers so many outputs and
/// filters with a workgroup.
fn product(kernel: Kernel, g: &Geometry, step: usize, [pixels, filters]: [usize; 2]) -> (Kernel, Vec<u32>, [u32; 3]) {
    let four = |n: usize, quads, scalars| if n.is_multiple_of(4) { quads } else { scalars };
    let kernel = kernel.provider(four(g.depth(), "conv/weight_quads", "conv/weight_scalars"));
    let kernel = kernel.provider(four(g.outputs(), "conv/store_quads", "conv/store_scalars"));
    let [depth, height, width] = g.axes;
    let (row, slice) = (step / width.kernel, step / width.kernel / height.kernel);
    let step = [
        slice % depth.kernel * depth.dilation,
        row % height.kernel * height.dilation,
        step % width.kernel * width.dilation,
        slice / depth.kernel,
    ];
    let numbers = [g.channels, g.filters, g.groups, g.outputs(), g.inputs(), g.depth(), 0, 0].into_iter().chain(step);
    let params = numbers.map(|n| n as u32).chain(g.axes.iter().flat_map(Axis::words)).collect();
    let grid = [g.outputs().div_ceil(pixels), g.filters.div_ceil(filters), g.batch * g.groups].map(|n| n as u32);
    (kernel, params, grid)
}
