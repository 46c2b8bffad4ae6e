// The windows of pooling: which elements of x an element of the output is made of.
//
//   x  [planes, up to three spatial dimensions] words or f32

// One spatial dimension: tap t of window o lies at o * stride - begin + t * dilation of 0 .. len; taps below `limit` lie at
// least in the padding. `step` is what one place adds to an index of the maximum.
struct Dimension {
    len: u32,
    windows: u32,
    taps: u32,
    stride: u32,
    begin: u32,
    limit: u32,
    dilation: u32,
    step: u32,
}

struct Params {
    count: u32,
    pad_0: u32,
    pad_1: u32,
    pad_2: u32,
    dims: array<Dimension, 3>,
}

@group(0) @binding(0) var<uniform> params: Params;

// The part of a window along one dimension: the place of its first tap inside, how many are inside, and how many are inside or
// in the padding.
struct Reach {
    first: u32,
    taps: u32,
    padded: u32,
}

struct Window {
    plane: u32,
    reach: array<Reach, 3>,
}

// How many of a dimension's taps from `start` on lie below `end`.
fn taps_below(start: i32, end: u32, dim: Dimension) -> i32 {
    let dilation = i32(dim.dilation);
    return clamp((i32(end) - start + dilation - 1) / dilation, 0, i32(dim.taps));
}

fn reach_of(dim: Dimension, window: u32) -> Reach {
    let start = i32(window * dim.stride) - i32(dim.begin);
    let before = taps_below(start, 0u, dim);
    let inside = taps_below(start, dim.len, dim) - before;
    return Reach(u32(max(start + before * i32(dim.dilation), 0)), u32(max(inside, 0)), u32(taps_below(start, dim.limit, dim)));
}

fn window_of(index: u32) -> Window {
    var window: Window;
    let x = index / params.dims[2].windows;
    window.reach[2] = reach_of(params.dims[2], index - x * params.dims[2].windows);
    let y = x / params.dims[1].windows;
    window.reach[1] = reach_of(params.dims[1], x - y * params.dims[1].windows);
    window.plane = y / params.dims[0].windows;
    window.reach[0] = reach_of(params.dims[0], y - window.plane * params.dims[0].windows);
    return window;
}

// The place of tap `tap` of those inside.
fn place_of(dim: u32, reach: Reach, tap: u32) -> u32 {
    return reach.first + tap * params.dims[dim].dilation;
}
