//! The kernels of products of two batches of matrices, and which one runs.

use super::{BatchMatMul, Layout};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::caps::Width;
use crate::kernel::{Dispatch, Kernel, Tail, linear_grid};
use crate::ops::lowering::{BUSY, FEW, NARROW_ITERATIONS};
use crate::ops::{Lowering, Operand, tail};

/// Depths above which no single invocation of a narrow device goes: it takes four an iteration.
const LONG: usize = 8 * NARROW_ITERATIONS;

/// Depths of a part of `batch_mat_mul_parts`: four for each lane.
const PART: usize = 32;

/// Least depth for `batch_mat_mul_parts`.
const LEAST_DEPTH: usize = 4 * PART;

/// Elements of `b` that are more than the caches of a core hold: 1 MiB.
const BEYOND_CACHES: usize = 256 << 10;

/// Columns that an invocation of `batch_mat_mul_parts` has at a time.
const RUN: usize = 16;

/// A kernel, and how its workgroups share the work of one matrix.
struct Choice {
    kernel: Kernel,
    /// Workgroups beside each other.
    across: usize,
    /// Workgroups below each other, by rows or by depths.
    down: usize,
    /// Most iterations of one invocation.
    iterations: usize,
    /// Where sums are left in parts: how many of them, and the columns of a workgroup.
    parts: Option<(usize, usize)>,
}

impl BatchMatMul {
    /// Emits the product of `a` and `b`, whose sums go through `tail` with its operands `others`, and which is `out`.
    pub(in crate::ops) fn emit(
        &self,
        cx: &mut Lowering<'_>,
        a: &Operand,
        b: &Operand,
        out: &Operand,
        tail: Option<Tail>,
        others: &[Operand],
    ) -> Result<()> {
        let layout = self.layout(&a.shape, &b.shape)?.joined();
        let Choice { kernel, across, down, iterations, parts } = choose(cx, &layout, b);
        cx.check_iterations(iterations)?;
        let batches = layout.count();
        let Layout { m, n, k, a_start, b_start, a_row, a_depth, b_depth, b_column, .. } = layout;
        let segment = parts.map_or(0, |(_, columns)| columns);
        let mut params = [m, n, k, a_row, a_depth, b_depth, b_column, across, down, batches].map(|n| n as u32).to_vec();
        params.extend([self.scale.to_bits(), a_start as u32, b_start as u32, segment as u32, 0, 0]);
        params.extend(layout.batches.iter().flat_map(|[len, a, b]| [*len as u32, *a as u32, *b as u32, 0]));
        let elements = if tail.is_none() { "product/int" } else { "product/float" };
        let finished = |kernel: Kernel| match tail {
            None => kernel,
            Some(tail) => kernel.provider("product/scaled").tail(tail),
        };
        let kernel = kernel.provider(elements).constant("RANK", layout.batches.len() as u32);
        let grid = linear_grid(across * down * batches, cx.caps);
        let Some((parts, _)) = parts else {
            let dispatch = Dispatch::new(finished(kernel), params, grid).read(a.value).read(b.value).write(out.value);
            cx.emit(tail::bind(dispatch, others));
            return Ok(());
        };
        let sums = cx.scratch(out.dtype, &[batches, parts, m * n]);
        cx.emit(Dispatch::new(kernel, params, grid).read(a.value).read(b.value).write(sums.value));
        let quads = batches * m * n / 4;
        let mut params = [n, m * n, parts, quads].map(|n| n as u32).to_vec();
        params.extend([self.scale.to_bits(), 0, 0, 0]);
        let kernel = finished(Kernel::new("batch_mat_mul_combine").provider(elements));
        let dispatch = Dispatch::new(kernel, params, linear_grid(quads.div_ceil(8), cx.caps));
        cx.emit(tail::bind(dispatch.read(sums.value).write(out.value), others));
        Ok(())
    }
}

impl Layout {
    /// Whether matrices of operand `batch` (1 for `a`, 2 for `b`) that begin at `start`, and what is `step` behind, lie at multiples of `to`.
    fn aligned(&self, to: usize, start: usize, step: usize, batch: usize) -> bool {
        [start, step].iter().chain(self.batches.iter().map(|b| &b[batch])).all(|at| at.is_multiple_of(to))
    }

    /// Whether rows of `a` lie in whole runs of `to` depths.
    fn a_by_rows(&self, to: usize) -> bool {
        self.a_depth == 1 && self.k.is_multiple_of(to) && self.aligned(to, self.a_start, self.a_row, 1)
    }

    /// Whether rows of `b` lie in whole runs of `to` columns.
    fn b_by_rows(&self, to: usize) -> bool {
        self.b_column == 1 && self.n.is_multiple_of(to) && self.aligned(to, self.b_start, self.b_depth, 2)
    }

    /// Whether columns of `b` lie in whole runs of `to` depths.
    fn b_by_columns(&self, to: usize) -> bool {
        self.b_depth == 1 && self.k.is_multiple_of(to) && self.aligned(to, self.b_start, self.b_column, 2)
    }

    /// What loads four elements of either operand at once, along whichever dimension is contiguous. Where k is whole tiles of depths
    /// nothing has to watch for its end.
    fn quads(&self, tile: Option<usize>) -> (&'static str, &'static str) {
        let pick = |quads, whole| if tile.is_some_and(|tile| self.k.is_multiple_of(tile)) { whole } else { quads };
        let left = match () {
            _ if self.a_by_rows(4) => pick("product/left_quads", "product/left_whole"),
            _ => "product/left_scalars",
        };
        let right = match () {
            _ if self.b_by_rows(4) => pick("product/right_rows", "product/right_rows_whole"),
            _ if self.b_by_columns(4) => pick("product/right_columns", "product/right_columns_whole"),
            _ => "product/right_scalars",
        };
        (left, right)
    }

    /// The kernel `shader`, which loads quads.
    fn by_quads(&self, shader: &'static str, tile: Option<usize>) -> Kernel {
        let (left, right) = self.quads(tile);
        operands(shader).provider(left).provider(right)
    }

    /// The same for kernels whose lanes lie along whichever dimension of `b` is contiguous.
    fn along_b(&self, shader: &'static str, tile: Option<usize>) -> Kernel {
        self.by_quads(shader, tile).constant("DEPTH_FIRST", (self.b_column != 1).into())
    }

    /// A kernel without parts whose workgroups cover so many rows and columns.
    fn covered(&self, kernel: Kernel, rows: usize, columns: usize) -> Choice {
        let (across, down) = (self.n.div_ceil(columns), self.m.div_ceil(rows));
        // The kernel for long depths takes 64 in two iterations.
        Choice { kernel, across, down, iterations: self.k / 32, parts: None }
    }
}

fn operands(shader: &'static str) -> Kernel {
    Kernel::new(shader).provider("product/operands")
}

/// Chooses the kernel, and how it loads its operands.
fn choose(cx: &Lowering<'_>, layout: &Layout, b: &Operand) -> Choice {
    let long = b.dtype == DType::F32 && cx.caps.long_words() && cx.caps.subgroup_at_least(8);
    match cx.caps.width {
        Width::Narrow => match segment(cx, layout).filter(|_| layout.b_by_rows(4)) {
            Some(columns) => in_parts(layout, columns, long),
            None => narrow(cx, layout, long),
        },
        Width::Wide => wide(layout),
    }
}

/// By parts of the depths, each workgroup `columns` of them.
fn in_parts(layout: &Layout, columns: usize, long: bool) -> Choice {
    let (left, right) = layout.quads(Some(PART));
    let kernel = operands("batch_mat_mul_parts").provider(left);
    let kernel = match long && layout.b_by_rows(RUN) && layout.k.is_multiple_of(PART) {
        true => kernel.provider("product/right_rows_long"),
        false => kernel.provider(right).provider("product/right_run"),
    };
    let kernel = kernel.constant("ROWS", layout.m.next_power_of_two() as u32);
    let (across, parts) = (layout.n.div_ceil(columns), layout.k.div_ceil(PART));
    let iterations = (columns / RUN).max(parts);
    Choice { kernel, across, down: parts, iterations, parts: Some((parts, columns)) }
}

fn narrow(cx: &Lowering<'_>, layout: &Layout, long: bool) -> Choice {
    // Sixteen invocations share what would be too long for one.
    if layout.k > LONG {
        return layout.covered(layout.along_b("batch_mat_mul_few", None).constant("ROWS", 1), 1, 64);
    }
    let eights = long && layout.a_by_rows(8) && layout.b_by_columns(8);
    // Measured on lavapipe: 4096 x 4096 in 5.4 ms, in 5.9 where each lane has columns of its own, in 9.7 by loads of quads.
    if layout.m == 1 && eights && layout.k.is_multiple_of(64) {
        return layout.covered(operands("batch_mat_vec"), 1, 8);
    }
    // Measured on lavapipe, where a load costs as much as dozens of operations: 32 rows whose elements are loaded once for
    // all lanes run at twice the speed of 8. Without a subgroup every lane loads each row, and more rows bring less.
    let broadcast = cx.caps.subgroup_at_least(8);
    let rows = match layout.m {
        1 => 1,
        m if broadcast => m.next_power_of_two().clamp(8, 32),
        _ => 8,
    };
    // Eight columns a lane take a tenth to a fifth less time than four, if enough workgroups are left.
    let workgroups = layout.n.div_ceil(64) * layout.m.div_ceil(rows) * layout.count();
    let quads = if rows > 1 && layout.n > 32 && workgroups >= FEW { 2 } else { 1 };
    // Half as many loads take a sixth off.
    if quads == 2 && eights {
        return layout.covered(operands("batch_mat_mul_eights").constant("ROWS", rows as u32), rows, 64);
    }
    let kernel = layout.by_quads("batch_mat_mul_rows", None).constant("ROWS", rows as u32).constant("QUADS", quads as u32);
    layout.covered(kernel.provider(if broadcast { "product/rows_broadcast" } else { "product/rows" }), rows, 32 * quads)
}

fn wide(layout: &Layout) -> Choice {
    // By reasoning, as for products with a weight: few rows are bound by the bytes of `b`.
    if layout.m <= 8 {
        let rows = layout.m.next_power_of_two();
        return layout.covered(layout.along_b("batch_mat_mul_few", None).constant("ROWS", rows as u32), rows, 64);
    }
    // By reasoning: few rows or columns would leave half of a tile empty.
    let (across, down) = (if layout.n <= 64 { 1 } else { 2 }, if layout.m <= 32 { 1 } else { 2 });
    let kernel = layout.along_b("batch_mat_mul", Some(16)).provider("product/tiles");
    layout.covered(kernel.constant("ACROSS", across).constant("DOWN", down), 32 * down as usize, 64 * across as usize)
}

/// Columns that a workgroup of `batch_mat_mul_parts` goes through, where that kernel suits a product whose `b` lies by rows.
///
/// Measured on lavapipe: one row of a, and 4096 of b, take a fifth of the time when each lane reads rows of b from end to end, since
/// neighbouring columns of one row after another are neither foreseen by the processor nor in few pages. What a cache holds is read
/// as fast in either way. Four rows of a bring half of that. Four rows of b a lane take 7.4 ms where 16 take 10.4: lines that lie a power
/// of two apart drive each other out of the caches.
fn segment(cx: &Lowering<'_>, layout: &Layout) -> Option<usize> {
    let &Layout { m, n, k, .. } = layout;
    let (batches, parts) = (layout.count(), k.div_ceil(PART));
    let scratch = [batches, parts, m, n, 4].into_iter().try_fold(1usize, usize::checked_mul)?;
    let few = cx.caps.width == Width::Narrow && cx.caps.subgroup_at_least(8) && m <= 4 && k >= LEAST_DEPTH && n >= RUN;
    if !few || batches * n * k < BEYOND_CACHES || scratch as u64 > cx.caps.max_binding {
        return None;
    }
    // Few parts leave room for more workgroups beside each other.
    let across = BUSY.div_ceil(batches * parts);
    Some(n.div_ceil(across).next_multiple_of(RUN))
}
