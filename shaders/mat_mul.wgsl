// out[t, n] = tail(sum_k x[t, k] * weight[n, k]) for many tokens, on wide devices.
//
//   x       [tokens, columns] f32 (a provider loads it)
//   weight  rows first .. first + rows of [N, columns], packed (group 1)
//   out     [tokens, out_columns] f32 (a provider says what is stored of the sums)
//
// One workgroup: 128 weight rows x 32 * DOWN tokens (see product/tiles.wgsl), half a group of K (16) at a time through 12.1 KiB of
// workgroup memory at most. Weights are decoded on their way in, a row by each invocation; the next half is on its way from
// memory while this one is multiplied.

struct Params {
    tokens: u32,
    columns: u32,
    rows: u32,
    first: u32,
    out_columns: u32,
    groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// Neighbouring invocations write neighbouring rows.
const WIDE_PADDING: u32 = 0u;

// The activations that an invocation brings: four depths of a token, and of the one 32 further.
struct Activations {
    upper: vec4<f32>,
    lower: vec4<f32>,
}

fn activations(token: u32, quad: u32) -> Activations {
    let last = params.tokens - 1u;
    var x = Activations(x_quad(min(token, last), quad), vec4<f32>());
    if (DOWN == 2u) {
        x.lower = x_quad(min(token + 32u, last), quad);
    }
    return x;
}

fn put_activations(upper: Spot, lower: Spot, x: Activations) {
    put_high(upper, Quad(x.upper));
    if (DOWN == 2u) {
        put_high(lower, Quad(x.lower));
    }
}

fn store_quad(token: u32, row: u32, sums: vec4<f32>) {
    store_rows(token, row, sums.x, sums.y);
    store_rows(token, row + 2u, sums.z, sums.w);
}

fn store_piece(token: u32, row: u32, sums: TotalPiece) {
    store_quad(token, row, sums.s0);
    store_quad(token + 1u, row, sums.s1);
    store_quad(token + 2u, row, sums.s2);
    store_quad(token + 3u, row, sums.s3);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.x * 128u;
    let token = workgroup.y * 32u * DOWN;
    let across = lane % 16u;
    let down = lane / 16u;
    // Rows and tokens beyond the last repeat it; they are not stored.
    let own_groups = min(row + lane, params.rows - 1u) * params.groups;
    let own_token = token + lane / 4u;
    let own_quad = lane % 4u;
    let wide = wide_spot(lane);
    let upper = high_spot(lane / 4u, own_quad);
    let lower = high_spot(lane / 4u + 32u, own_quad);
    var w = weight_group(own_groups);
    var x = activations(own_token, own_quad);
    var sums: Totals;
    for (var group = 0u; group < params.groups; group++) {
        put_wide(wide, 0u, Quad(weight_quad(w, 0u)));
        put_wide(wide, 1u, Quad(weight_quad(w, 1u)));
        put_wide(wide, 2u, Quad(weight_quad(w, 2u)));
        put_wide(wide, 3u, Quad(weight_quad(w, 3u)));
        put_activations(upper, lower, x);
        workgroupBarrier();
        // Of either group only the half that is used is loaded: whole ones would take too many registers.
        w = weight_group(own_groups + group);
        x = activations(own_token, group * 8u + 4u + own_quad);
        sums = add_to_totals(across, down, sums);
        workgroupBarrier();
        put_wide(wide, 0u, Quad(weight_quad(w, 4u)));
        put_wide(wide, 1u, Quad(weight_quad(w, 5u)));
        put_wide(wide, 2u, Quad(weight_quad(w, 6u)));
        put_wide(wide, 3u, Quad(weight_quad(w, 7u)));
        put_activations(upper, lower, x);
        workgroupBarrier();
        // After the last group it is loaded again.
        let next = min(group + 1u, params.groups - 1u);
        w = weight_group(own_groups + next);
        x = activations(own_token, next * 8u + own_quad);
        sums = add_to_totals(across, down, sums);
        workgroupBarrier();
    }
    let first_row = row + across * 4u;
    let first_token = token + down * 4u;
    store_piece(first_token, first_row, sums.p00);
    store_piece(first_token, first_row + 64u, sums.p01);
    if (DOWN == 2u) {
        store_piece(first_token + 32u, first_row, sums.p10);
        store_piece(first_token + 32u, first_row + 64u, sums.p11);
    }
}
