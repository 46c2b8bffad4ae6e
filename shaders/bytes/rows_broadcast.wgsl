// Eight rows of the left operand of a product of bytes, for workgroups of 8 lanes in one subgroup: each lane loads one row, makes
// floats of its bytes and hands them to the others.

// A quad of bytes of the lane's own row.
struct RowQuads {
    own: vec4<u32>,
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

// Rows row .. row + 8 of a batch. All lanes must call with the same row.
fn row_quads(batch: u32, row: u32, quad: u32, lane: u32) -> RowQuads {
    return RowQuads(a[left_row(batch, row + lane) + quad]);
}

// Word `i` of the quads.
fn row_bytes(x: RowQuads, i: u32) -> Rows {
    let own = floats(x.own[i]);
    return Rows(
        subgroupBroadcast(own, 0u),
        subgroupBroadcast(own, 1u),
        subgroupBroadcast(own, 2u),
        subgroupBroadcast(own, 3u),
        subgroupBroadcast(own, 4u),
        subgroupBroadcast(own, 5u),
        subgroupBroadcast(own, 6u),
        subgroupBroadcast(own, 7u),
    );
}
