// What a device can do at most: kernels that only read, and kernels that only calculate.
//
// Bindings: `source` [READS * lanes] is read, `written` [lanes] is written, both in quads of f32.
// One invocation's share: READS quads of the source (a multiple of four), or ROUNDS * 48 fused multiply-adds.
// Assumes a grid of whole workgroups in one line that covers the source exactly.

override READS: u32 = 64u;
override ROUNDS: u32 = 512u;
const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> written: array<vec4f>;

// Every `stride`th quad from `start` on, four loads in flight.
fn sum(start: u32, stride: u32) -> vec4f {
    var a = vec4f();
    var b = vec4f();
    var c = vec4f();
    var d = vec4f();
    for (var i = 0u; i < READS; i += 4u) {
        let at = start + i * stride;
        a += source[at];
        b += source[at + stride];
        c += source[at + 2u * stride];
        d += source[at + 3u * stride];
    }
    return (a + b) + (c + d);
}

// Neighbouring lanes read neighbouring quads: what a GPU merges into wide loads.
@compute @workgroup_size(WORKGROUP)
fn coalesced(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    written[id.x] = sum(id.x, groups.x * WORKGROUP);
}

// Each lane reads a run of its own: what suits a CPU that runs shaders.
@compute @workgroup_size(WORKGROUP)
fn contiguous(@builtin(global_invocation_id) id: vec3u) {
    written[id.x] = sum(id.x * READS, 1u);
}

// Twelve independent sums, enough to hide the latency of one sum and few enough for sixteen vector registers.
@compute @workgroup_size(WORKGROUP)
fn multiply_add(@builtin(global_invocation_id) id: vec3u) {
    let x = vec4f(0.999 + 1e-9 * f32(id.x));
    let y = vec4f(1e-7 * f32(id.x));
    var a = vec4f(1.0);
    var b = vec4f(2.0);
    var c = vec4f(3.0);
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
    written[id.x] = a + b + c;
}

// Every quad becomes (0, 1, 2, 3) plus its index modulo 8, so that sums are exact whatever their order.
@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(global_invocation_id) id: vec3u) {
    for (var i = 0u; i < READS; i++) {
        let at = id.x * READS + i;
        written[at] = vec4f(0.0, 1.0, 2.0, 3.0) + f32(at % 8u);
    }
}

// Binds a buffer, as every kernel does, and leaves it alone.
@compute @workgroup_size(WORKGROUP)
fn nothing(@builtin(global_invocation_id) id: vec3u) {
    if (id.x == 0xffffffffu) {
        written[0] = vec4f();
    }
}
