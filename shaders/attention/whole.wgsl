// What a workgroup knows of a row of attention is all there is: the output, as the operand at binding 7.

@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>;

fn attention_store(row: u32, quad: u32, sum: vec4<f32>, largest: f32, total: f32) {
    out[row * QUADS + quad] = select(sum / total, vec4<f32>(), total == 0.0);
}
