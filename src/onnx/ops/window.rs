//! Attributes of everything that slides a window over spatial dimensions.

use super::super::context::Context;
use super::super::tracer::Traced;

/// A window's geometry, by spatial dimension.
pub struct Window {
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    pub pads_begin: Vec<usize>,
    pub pads_end: Vec<usize>,
    /// Positions of the window.
    pub output: Vec<usize>,
}

/// A list attribute of one positive size for each of `rank` dimensions.
pub fn list(cx: &Context, name: &str, rank: usize) -> Traced<Vec<usize>> {
    let values = cx.ints(name).map_or_else(|| vec![1; rank], <[i64]>::to_vec);
    let sizes: Option<Vec<usize>> =
        values.iter().map(|n| usize::try_from(*n).ok().filter(|n| (1..1 << 31).contains(n))).collect();
    sizes.filter(|s| s.len() == rank).ok_or_else(|| cx.error(format!("'{name}' is {values:?}, expected {rank} positive numbers")))
}

/// `(before, after)` of the attribute `pads`, for each of `rank` dimensions.
pub fn pads(cx: &Context, rank: usize) -> Traced<(Vec<usize>, Vec<usize>)> {
    let values = cx.ints("pads").map_or_else(|| vec![0; 2 * rank], <[i64]>::to_vec);
    let sizes: Option<Vec<usize>> = values.iter().map(|n| usize::try_from(*n).ok().filter(|n| *n < 1 << 31)).collect();
    let sizes = sizes.filter(|s| s.len() == 2 * rank);
    let sizes =
        sizes.ok_or_else(|| cx.error(format!("'pads' are {values:?}, expected {rank} numbers before and {rank} after")))?;
    Ok((sizes[..rank].to_vec(), sizes[rank..].to_vec()))
}

impl Window {
    /// The window of a node over an input whose spatial dimensions are `input`.
    ///
    /// With `ceil`, positions that reach beyond the padded input count too, unless they would begin beyond it.
    pub fn of(cx: &Context, input: &[usize], kernel: Vec<usize>, ceil: bool) -> Traced<Self> {
        let rank = input.len();
        let (strides, dilations) = (list(cx, "strides", rank)?, list(cx, "dilations", rank)?);
        let span = |d: usize| dilations[d].checked_mul(kernel[d].saturating_sub(1)).and_then(|n| n.checked_add(1));
        let spans = (0..rank).map(span).collect::<Option<Vec<_>>>().ok_or_else(|| cx.error("a window without bounds"))?;
        let auto = cx.text("auto_pad", "NOTSET");
        let (mut pads_begin, mut pads_end) = match auto {
            "NOTSET" => pads(cx, rank)?,
            _ => (vec![0; rank], vec![0; rank]),
        };
        if let "SAME_UPPER" | "SAME_LOWER" = auto {
            for d in 0..rank {
                let positions = input[d].div_ceil(strides[d]);
                let total = ((positions.max(1) - 1) * strides[d] + spans[d]).saturating_sub(input[d]);
                let less = total / 2;
                (pads_begin[d], pads_end[d]) = if auto == "SAME_UPPER" { (less, total - less) } else { (total - less, less) };
            }
        } else if !matches!(auto, "NOTSET" | "VALID") {
            return Err(cx.unsupported(format!("the padding '{auto}'")));
        }
        let mut output = Vec::with_capacity(rank);
        for d in 0..rank {
            let room = (input[d] + pads_begin[d] + pads_end[d]).checked_sub(spans[d]);
            let room = room.ok_or_else(|| cx.error(format!("a window of {} over {} elements", spans[d], input[d])))?;
            let mut positions = if ceil { room.div_ceil(strides[d]) + 1 } else { room / strides[d] + 1 };
            if ceil && (positions - 1) * strides[d] >= input[d] + pads_begin[d] {
                positions -= 1;
            }
            output.push(positions);
        }
        Ok(Window { kernel, strides, dilations, pads_begin, pads_end, output })
    }
}
