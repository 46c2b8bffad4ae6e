//! The kernels of a convolution, and which one runs.

use super::geometry::Geometry;
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::{Dispatch, Expr, Kernel, LINEAR_WORKGROUP, linear_grid};
use crate::ops::{Lowering, tail};

/// Emits the convolution.
pub fn lower(cx: &mut Lowering<'_>, g: &Geometry, expr: &Expr) -> Result<()> {
    let (x, weight, out) = (&cx.inputs[0], &cx.inputs[1], &cx.outputs[0]);
    let mut params = vec![out.len(), g.channels, g.filters, g.groups].into_iter().map(|n| n as u32).collect::<Vec<u32>>();
    params.extend(g.axes.iter().flat_map(|a| a.words()));
    let kernel = Kernel::new("conv");
    let kernel = match x.dtype {
        DType::I64 => kernel.provider("conv/i32"),
        _ => kernel.provider("conv/f32").tail(tail::lower(expr, &cx.inputs[2..], out, 1)?),
    };
    let grid = linear_grid(out.len().div_ceil(LINEAR_WORKGROUP as usize), cx.caps);
    let dispatch = Dispatch::new(kernel, params, grid).read(x.value).read(weight.value).write(out.value);
    cx.emit(tail::bind(dispatch, &cx.inputs[2..]));
    Ok(())
}
