// A dispatch that does nothing: what is left of its time is the device's and the driver's own.
//
// Operands: `written`, which is bound, as every kernel binds something, and left alone.

@group(0) @binding(1) var<storage, read_write> written: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x == 0xffffffffu) {
        written[0] = vec4<f32>();
    }
}
