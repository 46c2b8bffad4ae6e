// out[i] = tail(i) by eights, where all operands lie as the output does or are single numbers: the tail reads them by itself. For
// devices that load for one lane after another and have integers of 64 bits.
//
//   out  [eights] eights of f32 or i32, as the tail's value is
//
// One invocation: `run` eights, each the eighth after the last; eight lanes take neighbours.

struct Params {
    eights: u32,
    run: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u64>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (linear_workgroup(workgroup, grid) * 64u + lane / 8u * 8u) * params.run;
    let end = min(first + 8u * params.run, params.eights);
    for (var i = first + lane % 8u; i < end; i += 8u) {
        out[i] = long_of(tail(i));
    }
}
