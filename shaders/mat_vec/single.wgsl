// The weight rows of a lane of mat_vec_rows or mat_vec_pairs where each makes an output: four of 32, 8 apart.

fn row_of(workgroup: u32, lane: u32, i: u32) -> u32 {
    return workgroup * 32u + lane + i * 8u;
}

fn store_all(workgroup: u32, lane: u32, sums: vec4<f32>) {
    store_row(0u, row_of(workgroup, lane, 0u), sums.x);
    store_row(0u, row_of(workgroup, lane, 1u), sums.y);
    store_row(0u, row_of(workgroup, lane, 2u), sums.z);
    store_row(0u, row_of(workgroup, lane, 3u), sums.w);
}
