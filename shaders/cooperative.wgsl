// The tiles of a workgroup whose subgroups multiply matrices of SIZE x SIZE together, which `cooperative/*` name. Matrices are loaded and
// stored at a place, so many elements from one row to the next, by all invocations together.

fn put_left(at: u32, quad: vec4<f32>) {
    left_tile[at] = Element(quad.x);
    left_tile[at + 1u] = Element(quad.y);
    left_tile[at + 2u] = Element(quad.z);
    left_tile[at + 3u] = Element(quad.w);
}

fn put_right(at: u32, quad: vec4<f32>) {
    right_tile[at] = Element(quad.x);
    right_tile[at + 1u] = Element(quad.y);
    right_tile[at + 2u] = Element(quad.z);
    right_tile[at + 3u] = Element(quad.w);
}

// Which of the workgroup's subgroups an invocation is part of.
fn subgroup_of(subgroup: u32, lane: u32) -> u32 {
    return subgroup;
}

// A left operand that lies by rows.
fn load_left(at: u32, stride: u32) -> Left {
    return coopLoadT<Left>(&left_tile[at], stride);
}

// A right operand that lies by columns.
fn load_right(at: u32, stride: u32) -> Right {
    return coopLoad<Right>(&right_tile[at], stride);
}

// A right operand that lies by rows.
fn load_right_rows(at: u32, stride: u32) -> Right {
    return coopLoadT<Right>(&right_tile[at], stride);
}

// Sums that lie by rows.
fn load_block(at: u32, stride: u32) -> Block {
    return coopLoadT<Block>(&blocks_tile[at], stride);
}

fn store_block(block: Block, at: u32, stride: u32) {
    coopStoreT(block, &blocks_tile[at], stride);
}

fn multiply_matrices(left: Left, right: Right, sums: Block) -> Block {
    return coopMultiplyAdd(left, right, sums);
}
