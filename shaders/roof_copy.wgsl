// How fast a device reads and writes at once: a copy of a buffer by quads.
//
// Operands: `source` and `written`, both [COPIES * lanes] quads.
// One invocation's share: COPIES quads; COALESCED as in `roof_read`.
// Assumes a grid of whole workgroups in one line that covers the buffers exactly.

const WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> written: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var start = id.x * COPIES;
    var stride = 1u;
    if (COALESCED == 1u) {
        start = id.x;
        stride = groups.x * WORKGROUP;
    }
    for (var i = 0u; i < COPIES; i++) {
        let at = start + i * stride;
        written[at] = source[at];
    }
}
