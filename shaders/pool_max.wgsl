// out[i] = max over the window of x, the first of equal ones; NaN counts as minus infinity. A window without elements yields the
// word `LOWEST` and the index -1.
//
//   x        words: i32 where INT is 1, else f32
//   out      [count] words
//   indices  [count] i32: where the maximum lies (a provider stores it, or not)
//
// One invocation: one window; neighbours have neighbouring ones.

@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

fn key_of(word: u32) -> u32 {
    if (INT == 1u) {
        return word ^ 0x80000000u;
    }
    return order_key(bitcast<f32>(word));
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
    var word = LOWEST;
    var key = 0u;
    var index = -1;
    for (var u = 0u; u < window.reach[0].taps; u++) {
        let z = place_of(0u, window.reach[0], u);
        for (var v = 0u; v < window.reach[1].taps; v++) {
            let y = place_of(1u, window.reach[1], v);
            let row = base + (z * params.dims[1].len + y) * params.dims[2].len;
            for (var w = 0u; w < window.reach[2].taps; w++) {
                let place = place_of(2u, window.reach[2], w);
                let next = x[row + place];
                let next_key = key_of(next);
                if (index < 0 || next_key > key) {
                    word = next;
                    key = next_key;
                    index = i32(base + z * params.dims[0].step + y * params.dims[1].step + place * params.dims[2].step);
                }
            }
        }
    }
    out[i] = word;
    store_index(i, index);
}
