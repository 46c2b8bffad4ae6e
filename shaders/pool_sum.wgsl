// out[i] = the mean over the window of x where POWER is 0, else (sum |x|^POWER)^(1/POWER).
//
//   x    f32
//   out  [count] f32
//
// PADDED says that the mean counts zeros in the padding. One invocation: one window; neighbours have neighbouring ones.

@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// Drivers compute powers by logarithms, and not all of them have one for zero.
fn power(base: f32, exponent: f32) -> f32 {
    return select(pow(base, exponent), 0.0, base == 0.0);
}

fn term(value: f32) -> f32 {
    if (POWER == 0u) {
        return value;
    }
    if (POWER == 1u) {
        return abs(value);
    }
    if (POWER == 2u) {
        return value * value;
    }
    return power(abs(value), f32(POWER));
}

fn finish(sum: f32, taps: u32) -> f32 {
    if (POWER == 0u) {
        return sum / f32(max(taps, 1u));
    }
    if (POWER == 1u) {
        return sum;
    }
    if (POWER == 2u) {
        return sqrt(sum);
    }
    return power(sum, 1.0 / f32(max(POWER, 1u)));
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
    let window = window_of(i);
    let base = window.plane * (params.dims[0].len * params.dims[1].len * params.dims[2].len);
    var sum = 0.0;
    for (var u = 0u; u < window.reach[0].taps; u++) {
        let z = place_of(0u, window.reach[0], u);
        for (var v = 0u; v < window.reach[1].taps; v++) {
            let row = base + (z * params.dims[1].len + place_of(1u, window.reach[1], v)) * params.dims[2].len;
            for (var w = 0u; w < window.reach[2].taps; w++) {
                sum += term(x[row + place_of(2u, window.reach[2], w)]);
            }
        }
    }
    let inside = window.reach[0].taps * window.reach[1].taps * window.reach[2].taps;
    let padded = window.reach[0].padded * window.reach[1].padded * window.reach[2].padded;
    out[i] = finish(sum, select(inside, padded, PADDED == 1u));
}
