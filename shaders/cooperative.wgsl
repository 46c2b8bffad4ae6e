// Matrices of SIZE x SIZE that a subgroup multiplies together, which `cooperative/*` name: from and to the tiles of a workgroup, at a
// place and so many elements from one row to the next. All invocations of a workgroup must call these together.

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
