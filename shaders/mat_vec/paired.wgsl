// The weight rows of a lane of mat_vec_rows or mat_vec_pairs where two neighbours make an output: two pairs of 16, 8 apart.

fn row_of(workgroup: u32, lane: u32, i: u32) -> u32 {
    return workgroup * 32u + (lane + i / 2u * 8u) * 2u + i % 2u;
}

fn store_all(workgroup: u32, lane: u32, sums: vec4<f32>) {
    store_rows(0u, row_of(workgroup, lane, 0u), sums.x, sums.y);
    store_rows(0u, row_of(workgroup, lane, 2u), sums.z, sums.w);
}
