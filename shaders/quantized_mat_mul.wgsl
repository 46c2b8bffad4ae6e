// out[t, n] = tail(sum_k scales[t, k / 32] * bytes[t, k] * weight[n, k]) for up to 8 tokens of bytes.
//
//   bytes   [tokens, columns] i8, four to a word, as quantize_rows makes them
//   scales  [tokens, columns / 32] f32
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [tokens, out_columns] f32 (a provider says what is stored of the sums)
//
// One workgroup: ROWS weight rows for COLS tokens. Lanes share the spans of a row as in mat_vec. Sums within a group are
// exact, in integers.

struct Params {
    tokens: u32,
    columns: u32,
    rows: u32,
    first: u32,
    out_columns: u32,
    groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> bytes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> scales: array<f32>;

// A group of bytes: its words, the sums of its halves and its scale.
struct Bytes {
    low: vec4<u32>,
    high: vec4<u32>,
    sums: vec2<i32>,
    scale: f32,
}

fn dot_quads(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

fn load_bytes(group: u32) -> Bytes {
    let low = bytes[group * 2u];
    let high = bytes[group * 2u + 1u];
    let ones = vec4<u32>(0x01010101u);
    return Bytes(low, high, vec2<i32>(dot_quads(low, ones), dot_quads(high, ones)), scales[group]);
}

fn group_product(w: WeightGroup, x: Bytes) -> f32 {
    let low = vec4<u32>(code_bytes(w, 0u), code_bytes(w, 1u), code_bytes(w, 2u), code_bytes(w, 3u));
    let high = vec4<u32>(code_bytes(w, 4u), code_bytes(w, 5u), code_bytes(w, 6u), code_bytes(w, 7u));
    return byte_sum(w, 0u, dot_quads(low, x.low), x.sums.x) + byte_sum(w, 1u, dot_quads(high, x.high), x.sums.y);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.x * ROWS;
    let token = workgroup.y * COLS;
    let spans = params.groups / SPAN;
    // Rows and tokens beyond the last repeat it; they are not stored.
    var starts: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        starts[r] = min(row + r, params.rows - 1u) * spans;
    }
    var sums: array<f32, ROWS * COLS>;
    for (var span = lane; span < spans; span += LANES) {
        var shared_scales: array<SpanScales, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            shared_scales[r] = span_scales(starts[r] + span);
        }
        for (var i = 0u; i < SPAN; i++) {
            var weights: array<WeightGroup, ROWS>;
            for (var r = 0u; r < ROWS; r++) {
                weights[r] = span_group(shared_scales[r], starts[r] + span, i);
            }
            for (var c = 0u; c < COLS; c++) {
                let x = load_bytes(min(token + c, params.tokens - 1u) * params.groups + span * SPAN + i);
                for (var r = 0u; r < ROWS; r++) {
                    sums[r * COLS + c] = fma(x.scale, group_product(weights[r], x), sums[r * COLS + c]);
                }
            }
        }
    }
    for (var r = 0u; r < ROWS; r += 2u) {
        for (var c = 0u; c < COLS; c++) {
            let first = reduce_add(lane, sums[r * COLS + c]);
            let second = reduce_add(lane, sums[(r + 1u) * COLS + c]);
            if (lane == 0u) {
                store_rows(token + c, row + r, first, second);
            }
        }
    }
}
