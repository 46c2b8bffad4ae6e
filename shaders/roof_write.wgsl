// How fast a device writes: every quad becomes (0, 1, 2, 3) plus its index modulo 8, so that sums of them are exact whatever their order.
//
// Operands: `written` [WRITES * lanes] quads.
// One invocation's share: WRITES quads; COALESCED as in `roof_read`.
// Assumes a grid of whole workgroups in one line that covers the buffer exactly.

const WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read_write> written: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var start = id.x * WRITES;
    var stride = 1u;
    if (COALESCED == 1u) {
        start = id.x;
        stride = groups.x * WORKGROUP;
    }
    for (var i = 0u; i < WRITES; i++) {
        let at = start + i * stride;
        written[at] = vec4<f32>(0.0, 1.0, 2.0, 3.0) + f32(at % 8u);
    }
}
