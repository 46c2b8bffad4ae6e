// As quantize_rows, of rows that go through an RMS norm first: y = x / sqrt(mean(x^2) + epsilon) * gain.
//
//   x       [rows, groups * 32] f32
//   gain    [groups * 32] f32
//   bytes   [rows, groups * 8] words of four i8, the first in the lowest bits
//   scales  [rows, groups] f32
//
// One workgroup: a row. All lanes add up its squares, then each makes groups, of numbers that are calculated twice instead of kept.

struct Params {
    rows: u32,
    groups: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> bytes: array<u32>;
@group(0) @binding(4) var<storage, read_write> scales: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_workgroup(workgroup, grid);
    if (row >= params.rows) {
        return;
    }
    let quads = params.groups * 8u;
    let base = row * quads;
    var squares = vec4<f32>();
    for (var i = lane; i < quads; i += LANES) {
        squares = fma(x[base + i], x[base + i], squares);
    }
    let all = reduce_add(lane, (squares.x + squares.y) + (squares.z + squares.w));
    let factor = inverseSqrt(all / f32(params.groups * 32u) + params.epsilon);
    for (var group = lane; group < params.groups; group += LANES) {
        let first = group * 8u;
        var largest = 0u;
        for (var i = first; i < first + 8u; i++) {
            largest = largest_of(largest, x[base + i] * factor * gain[i]);
        }
        let inverse = inverse_scale(largest);
        for (var i = first; i < first + 8u; i++) {
            bytes[base + i] = four_bytes(x[base + i] * factor * gain[i], inverse);
        }
        scales[row * params.groups + group] = scale_beside(largest, inverse);
    }
}
