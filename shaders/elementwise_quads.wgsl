// out[i] = tail(i) by quads, where all operands lie as the output does or are single numbers: the tail reads them by itself.
//
//   out  [quads] quads of f32 or i32, as the tail's value is
//
// One invocation: `run` quads one after another.

struct Params {
    quads: u32,
    run: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<Value>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (linear_workgroup(workgroup, grid) * 64u + lane) * params.run;
    for (var i = first; i < min(first + params.run, params.quads); i++) {
        out[i] = tail(i);
    }
}
