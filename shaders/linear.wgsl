// Places of a grid that `kernel::linear_grid` folded into two dimensions.

// The number of this workgroup in the line.
fn linear_workgroup(workgroup: vec3<u32>, grid: vec3<u32>) -> u32 {
    return workgroup.y * grid.x + workgroup.x;
}
