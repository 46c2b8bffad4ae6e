// out[r, c] = the region rois[r] of an image's channel c, cut into bins, each the mean (or where MAXIMUM is 1 the greatest part)
// of samples between elements.
//
//   x       [images, channels, height, width] f32
//   rois    [regions, 4] f32: left, top, right, bottom
//   images  [regions] i32: which image; held within x
//   out     [regions, channels, bins_down, bins_across] f32
//
// One invocation: one bin; neighbours have neighbouring bins.

struct Params {
    count: u32,
    channels: u32,
    images: u32,
    height: u32,
    width: u32,
    bins_down: u32,
    bins_across: u32,
    ratio: u32,
    most: u32,
    scale: f32,
    offset: f32,
    least: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> rois: array<f32>;
@group(0) @binding(3) var<storage, read_write> images: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

// A region along one dimension: where its bin begins, how long bins are, and how many samples each has.
struct Extent {
    start: f32,
    bin: f32,
    samples: u32,
}

// The two elements around a sample along one dimension, and the share of the upper.
struct Between {
    low: u32,
    high: u32,
    share: f32,
    inside: bool,
}

fn extent_of(low: f32, high: f32, bins: u32, index: u32) -> Extent {
    let start = low * params.scale - params.offset;
    let length = max(high * params.scale - params.offset - start, params.least);
    let bin = length / f32(bins);
    var samples = ceil(bin);
    // Division may be a little off, products are not.
    samples -= select(0.0, 1.0, (samples - 1.0) * f32(bins) >= length);
    samples += select(0.0, 1.0, samples * f32(bins) < length);
    let adaptive = min(u32(max(samples, 0.0)), params.most);
    return Extent(start + f32(index) * bin, bin, select(adaptive, params.ratio, params.ratio > 0u));
}

fn between(extent: Extent, sample: u32, len: u32) -> Between {
    let point = extent.start + (f32(sample) + 0.5) * extent.bin / f32(extent.samples);
    let inside = point >= -1.0 && point <= f32(len);
    let held = clamp(point, 0.0, f32(len - 1u));
    let low = min(u32(held), len - 1u);
    return Between(low, min(low + 1u, len - 1u), held - f32(low), inside);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_workgroup(workgroup, grid) * 64u + lane;
    if (i >= params.count) {
        return;
    }
    let row = i / params.bins_across;
    let plane = row / params.bins_down;
    let region = plane / params.channels;
    let down = extent_of(rois[region * 4u + 1u], rois[region * 4u + 3u], params.bins_down, row - plane * params.bins_down);
    let across = extent_of(rois[region * 4u], rois[region * 4u + 2u], params.bins_across, i - row * params.bins_across);
    let image = u32(clamp(images[region], 0, i32(params.images) - 1));
    let base = (image * params.channels + plane - region * params.channels) * params.height * params.width;
    var sum = 0.0;
    var greatest = -3.4028234e38;
    for (var v = 0u; v < down.samples; v++) {
        let y = between(down, v, params.height);
        let upper = base + y.low * params.width;
        let lower = base + y.high * params.width;
        for (var u = 0u; u < across.samples; u++) {
            let z = between(across, u, params.width);
            let a = (1.0 - y.share) * (1.0 - z.share) * x[upper + z.low];
            let b = (1.0 - y.share) * z.share * x[upper + z.high];
            let c = y.share * (1.0 - z.share) * x[lower + z.low];
            let d = y.share * z.share * x[lower + z.high];
            let inside = y.inside && z.inside;
            sum += select(0.0, a + b + c + d, inside);
            greatest = max(greatest, select(0.0, max(max(a, b), max(c, d)), inside));
        }
    }
    let samples = down.samples * across.samples;
    let mean = sum / f32(max(samples, 1u));
    out[i] = select(mean, select(0.0, greatest, samples > 0u), MAXIMUM == 1u);
}
