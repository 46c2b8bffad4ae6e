// How fast a device reads: the sum of all quads of a buffer.
//
// Operands: `source` [READS * lanes] of what a provider says is loaded at once; `written` [lanes] quads, a partial sum of each invocation.
// One invocation's share: READS loads, a multiple of four. With COALESCED 1 neighbouring lanes load neighbours, which a GPU
// merges into wide loads; with 0 each lane reads a run of its own, which suits a CPU that runs shaders.
// Assumes a grid of whole workgroups in one line that covers the source exactly.

const WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> source: array<Loaded>;
@group(0) @binding(2) var<storage, read_write> written: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var start = id.x * READS;
    var stride = 1u;
    if (COALESCED == 1u) {
        start = id.x;
        stride = groups.x * WORKGROUP;
    }
    // Four loads in flight.
    var a = vec4<f32>();
    var b = vec4<f32>();
    var c = vec4<f32>();
    var d = vec4<f32>();
    for (var i = 0u; i < READS; i += 4u) {
        let at = start + i * stride;
        a = added(a, source[at]);
        b = added(b, source[at + stride]);
        c = added(c, source[at + 2u * stride]);
        d = added(d, source[at + 3u * stride]);
    }
    written[id.x] = (a + b) + (c + d);
}
