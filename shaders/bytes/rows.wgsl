// Eight rows of the left operand of a product of bytes, loaded by every lane.

// A quad of bytes of each of eight rows.
struct RowQuads {
    r0: vec4<u32>,
    r1: vec4<u32>,
    r2: vec4<u32>,
    r3: vec4<u32>,
    r4: vec4<u32>,
    r5: vec4<u32>,
    r6: vec4<u32>,
    r7: vec4<u32>,
}

// Four bytes of each of eight rows, as floats.
struct Rows {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
    r4: vec4<f32>,
    r5: vec4<f32>,
    r6: vec4<f32>,
    r7: vec4<f32>,
}

fn floats(word: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(word));
}

// Rows row .. row + 8 of a batch.
fn row_quads(batch: u32, row: u32, quad: u32, lane: u32) -> RowQuads {
    return RowQuads(
        a[left_row(batch, row + 0u) + quad],
        a[left_row(batch, row + 1u) + quad],
        a[left_row(batch, row + 2u) + quad],
        a[left_row(batch, row + 3u) + quad],
        a[left_row(batch, row + 4u) + quad],
        a[left_row(batch, row + 5u) + quad],
        a[left_row(batch, row + 6u) + quad],
        a[left_row(batch, row + 7u) + quad],
    );
}

// Word `i` of the quads.
fn row_bytes(x: RowQuads, i: u32) -> Rows {
    return Rows(
        floats(x.r0[i]),
        floats(x.r1[i]),
        floats(x.r2[i]),
        floats(x.r3[i]),
        floats(x.r4[i]),
        floats(x.r5[i]),
        floats(x.r6[i]),
        floats(x.r7[i]),
    );
}
