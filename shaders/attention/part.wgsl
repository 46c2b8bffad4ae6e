// What a workgroup knows of a row of attention is a part, which `attention_combine` joins with the others: the sums of
// values as the operand at binding 7, the largest score and the sum of weights as that at binding 8. `row` counts the
// rows of all parts.

@group(0) @binding(7) var<storage, read_write> sums_of_parts: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> parts: array<vec2<f32>>;

fn attention_store(row: u32, quad: u32, sum: vec4<f32>, largest: f32, total: f32) {
    sums_of_parts[row * QUADS + quad] = sum;
    if (quad == 0u) {
        parts[row] = vec2<f32>(largest, total);
    }
}
