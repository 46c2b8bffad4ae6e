// out[t, n] = tail(sum_k x[t, k] * weight[n, k]) for one token, on wide devices.
//
//   x       [1, columns] f32 (a provider loads it, and may normalise it by the way)
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [1, out_columns] f32 (a provider says what is stored of the sums)
//
// One workgroup: ROWS weight rows, 2 or 4, for which activations are loaded once. Lanes share the spans of a row, so neighbouring
// lanes read neighbouring spans; a span is one group, or two that share words of scales (`load/groups`, `load/pairs`).

struct Params {
    tokens: u32,
    columns: u32,
    rows: u32,
    first: u32,
    out_columns: u32,
    groups: u32,
    // Of the norm, where there is one.
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.x * ROWS;
    let spans = params.groups / SPAN;
    // Rows beyond the last repeat it; they are not stored.
    var starts: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        starts[r] = min(row + r, params.rows - 1u) * spans;
    }
    var sums: array<f32, ROWS>;
    for (var span = lane; span < spans; span += LANES) {
        var scales: array<SpanScales, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            scales[r] = span_scales(starts[r] + span);
        }
        // Codes are loaded group by group: those of a whole span would take half again as many registers.
        for (var i = 0u; i < SPAN; i++) {
            let x = x_group(0u, span * SPAN + i, lane);
            for (var r = 0u; r < ROWS; r++) {
                sums[r] += group_sum(span_group(scales[r], starts[r] + span, i), x);
            }
        }
    }
    let scale = x_scale(lane);
    for (var r = 0u; r < ROWS; r += 2u) {
        let first = scale * reduce_add(lane, sums[r]);
        let second = scale * reduce_add(lane, sums[r + 1u]);
        if (lane == 0u) {
            store_rows(0u, row + r, first, second);
        }
    }
}
