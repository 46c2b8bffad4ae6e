// Columns of `len` elements that are `stride` apart, `stride` of them side by side, and how a workgroup of LANES shares
// COLUMNS neighbouring ones out: SLICES invocations for each.

// The column, of those of the workgroup, and the slice of an invocation: neighbours read neighbouring words.
fn column_and_slice(lane: u32, stride: u32) -> vec2<u32> {
    if (stride == 1u) {
        return vec2<u32>(lane / SLICES, lane % SLICES);
    }
    return vec2<u32>(lane % COLUMNS, lane / COLUMNS);
}

// The index of the first element of a column.
fn column_start(column: u32, len: u32, stride: u32) -> u32 {
    return column / stride * len * stride + column % stride;
}
