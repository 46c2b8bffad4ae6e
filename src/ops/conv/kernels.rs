//! The kernels of a convolution, and which one runs.

use super::geometry::{Axis, Geometry};
use super::winograd;
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::caps::Width;
use crate::kernel::{Caps, Dispatch, Expr, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::ops::lowering::{BUSY, FEW, NARROW_ITERATIONS};
use crate::ops::{Lowering, Operand, tail};

/// Outputs of a row that one invocation of the depthwise kernels makes.
const RUN: usize = 8;

/// Most bytes of windows that lie side by side.
const MOST_WINDOWS: usize = 64 << 20;

/// Most filters for which windows are cut out anew by every tile: two tiles take less time than laying windows side by side.
const MOST_CUT: usize = 64;

/// Most taps of a channel in the table of `conv_tiles`, which is a uniform.
const MOST_TAPS: usize = 512;

/// The ways to convolve.
#[derive(Clone, Copy)]
enum Choice {
    /// One output an invocation: `conv`.
    Plain,
    /// Runs of a row: `conv_depthwise`.
    Depthwise,
    /// Runs of several rows, with 3 x 3 taps: `conv_depthwise_3x3`.
    Depthwise3x3,
    /// A product without workgroup memory, by tiles: `conv_rows`.
    Rows(RowsTile),
    /// The same of windows that `conv_windows` laid side by side.
    Windows(RowsTile),
    /// 3 x 3 taps beside whole rows: `conv_3x3_rows`.
    Rows3x3(Segments),
    /// A product through workgroup memory, with tiles of 64 times so many outputs by 32 times so many filters: `conv_tiles`.
    Tiles(usize, usize),
    /// A product of transforms through workgroup memory: `conv_winograd`.
    Winograd,
}

/// What a workgroup of `conv_rows` computes.
#[derive(Clone, Copy)]
struct RowsTile {
    /// Times eight filters: 1, 2 or 4.
    eights: usize,
    /// Times 32 outputs: 1 or 2.
    quads: usize,
}

impl RowsTile {
    /// Workgroups by filters and by outputs.
    fn grid(self, g: &Geometry) -> [usize; 2] {
        [g.filters.div_ceil(8 * self.eights), g.outputs().div_ceil(32 * self.quads)]
    }

    /// The tile that takes least time. Measured on lavapipe, where loads take most of it: 256 channels, 64 filters and 56 x 56 outputs
    /// take 2.3, 2.5 and 3.3 ms by 32 x 64, 16 x 64 and 32 x 32 filters and outputs. More of either make kernels faster by 5 % that take
    /// it twice as long to compile, and sizes between them more kernels.
    fn of(g: &Geometry) -> Self {
        let eights = g.filters.div_ceil(8);
        // Loads of inputs take as long as the products of two eights of filters.
        let time = |tile: &usize| eights.div_ceil(*tile) * (9 + 4 * tile);
        let eights = [4, 2, 1].into_iter().min_by_key(time).unwrap_or(1);
        let mut tile = RowsTile { eights, quads: g.outputs().div_ceil(32).min(2) };
        let groups = |tile: RowsTile| tile.grid(g).iter().product::<usize>() * g.batch * g.groups;
        while groups(tile) < FEW && tile.quads > 1 {
            tile.quads /= 2;
        }
        while groups(tile) < FEW && tile.eights > 1 {
            tile.eights /= 2;
        }
        tile
    }

    /// Sets the constants of the kernel.
    fn set(self, kernel: Kernel) -> Kernel {
        kernel.constant("ROWS", self.eights as u32).constant("QUADS", self.quads as u32)
    }
}

impl Choice {
    /// Workgroups by outputs, by filters and by groups of images, for the kernels whose grid has these dimensions; those without
    /// workgroup memory have filters before outputs.
    fn grid(self, g: &Geometry) -> Option<[usize; 3]> {
        let (outputs, filters) = match self {
            Choice::Plain | Choice::Depthwise | Choice::Depthwise3x3 => return None,
            Choice::Rows(tile) | Choice::Windows(tile) => {
                let [filters, outputs] = tile.grid(g);
                return Some([filters, outputs, g.batch * g.groups]);
            }
            Choice::Rows3x3(s) => return Some([g.filters.div_ceil(8 * s.eights), s.cover(g), g.batch * g.groups]),
            Choice::Tiles(across, down) => (g.outputs().div_ceil(64 * across), 32 * down),
            Choice::Winograd => (g.axes.map(|a| a.output.div_ceil(2)).iter().product::<usize>().div_ceil(32), 32),
        };
        Some([outputs, g.filters.div_ceil(filters), g.batch * g.groups])
    }
}

/// Whether a channel has 3 x 3 taps side by side.
fn taps_3x3(g: &Geometry) -> bool {
    let [depth, height, width] = g.axes;
    depth == Axis::ONE && [height, width].iter().all(|a| a.kernel == 3 && a.dilation == 1)
}

/// What a workgroup of `conv_3x3_rows` computes: two rows of outputs in each of several segments below one another.
#[derive(Clone, Copy)]
struct Segments {
    /// Lanes of a segment: 2, 4 or 8 of 8.
    lanes: usize,
    /// Times four neighbouring outputs a lane: 1 or 2.
    quads: usize,
    /// Times eight filters: 1 or 2.
    eights: usize,
}

impl Segments {
    /// Outputs of a row in a segment.
    fn width(self) -> usize {
        4 * self.quads * self.lanes
    }

    /// Segments beside each other.
    fn across(self, g: &Geometry) -> usize {
        g.axes[2].output.div_ceil(self.width())
    }

    /// Whether lanes of a segment need inputs that lie before or behind those of its lanes.
    fn is_wide(self, g: &Geometry) -> bool {
        self.across(g) > 1 || g.axes[2].input > self.width()
    }

    /// Workgroups that cover a channel.
    fn cover(self, g: &Geometry) -> usize {
        self.across(g) * g.axes[1].output.div_ceil(16 / self.lanes)
    }

    /// Those that suit, if any do.
    fn of(g: &Geometry) -> Option<Self> {
        let [_, height, width] = g.axes;
        // Weights are read by quads, across filters.
        let quads = (g.groups * g.filters * g.depth()).is_multiple_of(4);
        if !taps_3x3(g) || height.stride != 1 || width.stride != 1 || width.pad > 1 || !quads {
            return None;
        }
        let eights = g.filters.div_ceil(8).min(2);
        let all = [2, 1].into_iter().flat_map(|quads| [8, 4, 2].map(|lanes| Segments { lanes, quads, eights }));
        // Only lanes at the ends of the subgroup load such inputs.
        let sound = |s: &Segments| s.lanes == 8 || !s.is_wide(g);
        let sums = |s: &Segments| 16 * 4 * s.quads * s.cover(g);
        all.filter(sound).min_by_key(sums).filter(|s| sums(s) <= 2 * g.outputs())
    }
}

/// Into how many workgroups `conv_windows` cuts the rows of outputs: enough to keep a device that runs few lanes busy, and for loops
/// that it ends.
fn window_chunks(g: &Geometry) -> usize {
    let lines = (g.batch * g.groups * g.depth()).div_ceil(8);
    BUSY.div_ceil(lines.max(1)).max(g.outputs().div_ceil(NARROW_ITERATIONS))
}

/// Whether windows are laid side by side before they are multiplied.
fn lays_windows(caps: &Caps, g: &Geometry) -> bool {
    let bytes =
        [g.batch, g.groups, g.depth(), g.outputs().next_multiple_of(4), 4].into_iter().try_fold(1usize, usize::checked_mul);
    let [depth, _, width] = g.axes;
    let most = MOST_WINDOWS.min(caps.max_binding as usize);
    let fits = bytes.is_some_and(|n| n <= most) && width.output <= NARROW_ITERATIONS;
    // The grid of `conv_windows`.
    let grid = [(g.batch * g.groups * g.depth()).div_ceil(8), window_chunks(g)];
    depth == Axis::ONE && !g.is_pointwise() && fits && grid.iter().all(|n| *n <= caps.max_grid as usize)
}

/// Chooses the kernel.
fn choose(caps: &Caps, dtype: DType, g: &Geometry) -> Choice {
    let [depth, height, width] = g.axes;
    let runs = g.channels == 1 && depth == Axis::ONE && height.dilation == 1 && width.dilation == 1;
    let choice = match caps.width {
        _ if dtype != DType::F32 => Choice::Plain,
        // No sum over channels shares inputs, but neighbouring outputs do. Measured on lavapipe: sharing them by whole quads and
        // among rows is three times as fast as along a row, and a third faster by eight rows than by four.
        Width::Narrow if runs && taps_3x3(g) && height.stride == width.stride && width.stride <= 2 && width.pad <= 1 => {
            Choice::Depthwise3x3
        }
        // By reasoning.
        _ if runs => Choice::Depthwise,
        // Measured on lavapipe, where a load of four takes as long as 80 products of all lanes. `conv_rows` shares inputs among
        // filters and weights among outputs. `conv_3x3_rows` shares inputs among taps too, and is faster by half; not so where more than
        // half of its sums are not stored.
        Width::Narrow if caps.subgroup_at_least(8) && g.filters >= 4 => match Segments::of(g) {
            Some(segments) => Choice::Rows3x3(segments),
            None if g.filters > MOST_CUT && lays_windows(caps, g) => Choice::Windows(RowsTile::of(g)),
            None => Choice::Rows(RowsTile::of(g)),
        },
        // By reasoning: 16 products do the work of 36, on twice as many for each load from workgroup memory. Not so on lavapipe, where
        // loads of inputs take most of the time, and the transforms need as many.
        Width::Wide if winograd::suits(g) => Choice::Winograd,
        // By reasoning: tiles that are mostly empty cost more than they share.
        Width::Wide if g.filters >= 16 && g.depth() >= 8 && g.taps() <= MOST_TAPS => {
            Choice::Tiles(if g.outputs() <= 64 { 1 } else { 2 }, if g.filters <= 32 { 1 } else { 2 })
        }
        _ => Choice::Plain,
    };
    let fits = |grid: [usize; 3]| grid.iter().all(|n| *n <= caps.max_grid as usize);
    if choice.grid(g).is_none_or(fits) { choice } else { Choice::Plain }
}

/// Lays the windows of the input side by side: rows of them by tap, behind each other up to a multiple of four.
fn lay_windows(cx: &mut Lowering<'_>, g: &Geometry) -> Operand {
    let [_, height, width] = g.axes;
    let (count, pitch) = (g.batch * g.groups * g.depth(), g.outputs().next_multiple_of(4));
    let rows = height.output.div_ceil(window_chunks(g));
    let windows = cx.scratch(DType::F32, &[count, pitch]);
    let params = words(&[count, pitch, rows, 0], &[height, width]);
    let grid = [count.div_ceil(8), height.output.div_ceil(rows), 1].map(|n| n as u32);
    let dispatch = Dispatch::new(Kernel::new("conv_windows"), params, grid);
    cx.emit(dispatch.read(cx.inputs[0].value).write(windows.value));
    windows
}

/// Emits the convolution.
pub fn lower(cx: &mut Lowering<'_>, g: &Geometry, expr: &Expr) -> Result<()> {
    let (inputs, outputs) = (cx.inputs, cx.outputs);
    let (x, weight, out) = (&inputs[0], &inputs[1], &outputs[0]);
    let linear = |elements: usize, workgroup: usize| linear_grid(elements.div_ceil(workgroup), cx.caps);
    let workgroup = LINEAR_WORKGROUP as usize;
    // The kernels that have a grid of their own count nothing.
    let none = (0, workgroup);
    let choice = choose(cx.caps, x.dtype, g);
    let grid = choice.grid(g).map(|grid| grid.map(|n| n as u32));
    let (kernel, params, (elements, workgroup)) = match choice {
        Choice::Plain => {
            let element = if x.dtype == DType::I64 { "conv/i32" } else { "conv/f32" };
            let params = words(&[out.len(), g.channels, g.filters, g.groups], &g.axes);
            (Kernel::new("conv").provider(element), params, (out.len(), workgroup))
        }
        Choice::Depthwise => {
            let runs = g.axes[2].output.div_ceil(RUN);
            let count = runs * (out.len() / g.axes[2].output);
            (Kernel::new("conv_depthwise"), words(&[g.filters, g.groups, runs, count], &g.axes[1..]), (count, workgroup))
        }
        Choice::Depthwise3x3 => {
            let [_, height, width] = g.axes;
            let across = width.output.div_ceil(RUN);
            let count = across * (height.output * height.stride).div_ceil(8) * g.batch * g.groups * g.filters;
            let kernel = Kernel::new("conv_depthwise_3x3")
                .provider(runs(g))
                .constant("STRIDE", width.stride as u32)
                .constant("PAD", width.pad as u32);
            (kernel, words(&[g.filters, g.groups, across, count], &g.axes[1..]), (count, 8))
        }
        Choice::Rows3x3(segments) => {
            let Segments { lanes, quads, eights } = segments;
            let kernel =
                Kernel::new("conv_3x3_rows").provider(runs(g)).constant("QUADS", quads as u32).constant("ROWS", eights as u32);
            let kernel = kernel.constant("PAD", g.axes[2].pad as u32).constant("WIDE", segments.is_wide(g).into());
            (kernel, words(&[g.channels, g.filters, g.groups, lanes], &g.axes[1..]), none)
        }
        Choice::Winograd => {
            let kernel = Kernel::new("conv_winograd").constant("WHOLE", g.channels.is_multiple_of(4).into());
            (kernel, words(&[g.channels, g.filters, g.groups, 0], &g.axes[1..]), none)
        }
        Choice::Rows(tile) => {
            let kernel = tile.set(Kernel::new("conv_rows"));
            let kernel = match g.outputs().is_multiple_of(4) {
                _ if !g.is_pointwise() => {
                    kernel.provider("conv/window").provider("conv/window_quads").provider("conv/window_taps")
                }
                true => kernel.provider("conv/pointwise"),
                false => kernel.provider("conv/pointwise_scalars"),
            };
            let kernel = kernel.provider(weights(g)).provider(storage(g));
            (kernel, product_words(g), none)
        }
        Choice::Windows(tile) => {
            let kernel = tile.set(Kernel::new("conv_rows")).provider("conv/pointwise");
            (kernel.provider(weights(g)).provider(storage(g)), windows_words(g), none)
        }
        Choice::Tiles(across, down) => (tiles(g, across as u32, down as u32), tiles_words(g), none),
    };
    let kernel = match x.dtype {
        DType::I64 => kernel,
        _ => kernel.tail(tail::lower(expr, &inputs[2..], out, 1)?),
    };
    let grid = grid.unwrap_or_else(|| linear(elements, workgroup));
    let x = if let Choice::Windows(_) = choice { lay_windows(cx, g).value } else { x.value };
    let dispatch = Dispatch::new(kernel, params, grid).read(x).read(weight.value).write(out.value);
    cx.emit(tail::bind(dispatch, &inputs[2..]));
    Ok(())
}

/// The words of numbers and axes.
fn words(numbers: &[usize], axes: &[Axis]) -> Vec<u32> {
    numbers.iter().map(|n| *n as u32).chain(axes.iter().flat_map(Axis::words)).collect()
}

/// The provider of weights by four taps.
fn weights(g: &Geometry) -> &'static str {
    if g.depth().is_multiple_of(4) { "conv/weight_quads" } else { "conv/weight_scalars" }
}

/// The provider that stores outputs by four.
fn storage(g: &Geometry) -> &'static str {
    if g.outputs().is_multiple_of(4) { "conv/store_quads" } else { "conv/store_scalars" }
}

/// The provider of inputs and outputs by four neighbours of a row.
fn runs(g: &Geometry) -> &'static str {
    let width = g.axes[2];
    let quads = width.input.is_multiple_of(4) && width.output.is_multiple_of(4);
    if quads { "conv/runs_quads" } else { "conv/runs_scalars" }
}

/// The kernel that multiplies tiles of filters by tiles of windows.
fn tiles(g: &Geometry, across: u32, down: u32) -> Kernel {
    let kernel = Kernel::new("conv_tiles").provider("product/float").provider("product/tiles").provider(storage(g));
    let kernel = kernel.constant("ACROSS", across).constant("DOWN", down).constant("TAPS", g.taps() as u32);
    let kernel = kernel.constant("DEEP", (g.axes[0] != Axis::ONE).into());
    let whole = g.channels.is_multiple_of(16);
    if g.is_pointwise() && g.outputs().is_multiple_of(4) {
        let kernel = kernel.provider("conv/tiles_pointwise").constant("WHOLE", whole.into());
        return kernel.provider(if whole { "conv/weight_whole" } else { weights(g) });
    }
    let kernel = kernel.provider("conv/window");
    match whole {
        true => kernel.provider("conv/tiles_by_tap"),
        false => {
            // Bits of the taps of a channel and of 15 more.
            let inside = if g.taps() <= 17 { "conv/inside_kept" } else { "conv/inside_each" };
            kernel.provider("conv/tiles_flat").provider(inside).provider(weights(g))
        }
    }
}

/// The words of numbers that kernels which multiply filters by windows have in common.
fn product_numbers(g: &Geometry) -> [usize; 8] {
    [g.channels, g.filters, g.groups, g.outputs(), g.inputs(), g.depth(), 0, 0]
}

/// The `params` of `conv_rows`, which visits one tap after another.
fn product_words(g: &Geometry) -> Vec<u32> {
    words(&[&product_numbers(g)[..], &g.tap(1), &[1 / g.taps()]].concat(), &g.axes)
}

/// The `params` of `conv_rows` for windows that lie side by side, where every tap is a channel.
fn windows_words(g: &Geometry) -> Vec<u32> {
    let numbers = [g.depth(), g.filters, g.groups, g.outputs(), g.outputs().next_multiple_of(4), g.depth(), 0, 0];
    words(&[&numbers[..], &[0, 0, 0, 1]].concat(), &g.axes)
}

/// The `params` of `conv_tiles`: further taps stand behind the last, as 16 are read from any.
fn tiles_words(g: &Geometry) -> Vec<u32> {
    let [_, height, width] = g.axes;
    let table = (0..g.taps() + 15).flat_map(|k| {
        let [z, y, x] = g.tap(k);
        let at = (z * height.input + y) * width.input + x + k / g.taps() * g.inputs();
        [z, y, x, at].map(|n| n as u32)
    });
    words(&product_numbers(g), &g.axes).into_iter().chain(table).collect()
}
