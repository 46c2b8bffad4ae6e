// How fast a device calculates: fused multiply-adds in registers, of the `number` that a provider names.
//
// Operands: `written` [lanes] quads, so that nothing is left out.
// One invocation's share: ROUNDS * 48 multiply-adds, of two operations each, in twelve independent sums: enough to hide the latency of
// one, few enough for sixteen vector registers.
// Assumes a grid of whole workgroups in one line.

const WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read_write> written: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = vec4<number>(number(0.999 + 1e-9 * f32(id.x)));
    let y = vec4<number>(number(1e-3 + 1e-9 * f32(id.x)));
    var a = vec4<number>(1.0);
    var b = vec4<number>(2.0);
    var c = vec4<number>(3.0);
    for (var i = 0u; i < ROUNDS; i++) {
        a = fma(a, x, y);
        b = fma(b, x, y);
        c = fma(c, x, y);
        a = fma(a, x, y);
        b = fma(b, x, y);
        c = fma(c, x, y);
        a = fma(a, x, y);
        b = fma(b, x, y);
        c = fma(c, x, y);
        a = fma(a, x, y);
        b = fma(b, x, y);
        c = fma(c, x, y);
    }
    written[id.x] = vec4<f32>(a + b + c);
}
