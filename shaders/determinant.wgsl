// out[m] = the determinant of x[m]
//
//   x     [matrices, n, n] f32
//   out   [matrices] f32
//   work  [n, n, matrices] f32
//
// Elimination with the largest element of a column as its pivot.
//
// One invocation: one matrix.

struct Params {
    matrices: u32,
    n: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> work: array<f32>;

// Where the element of a row and a column of a matrix lies in the work space.
fn work_place(matrix: u32, row: u32, column: u32) -> u32 {
    return (row * params.n + column) * params.matrices + matrix;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let m = linear_workgroup(workgroup, grid) * 64u + lane;
    if (m >= params.matrices) {
        return;
    }
    let n = params.n;
    for (var i = 0u; i < n * n; i++) {
        work[i * params.matrices + m] = x[m * n * n + i];
    }
    var determinant = 1.0;
    for (var k = 0u; k < n; k++) {
        var pivot_row = k;
        var largest = abs(work[work_place(m, k, k)]);
        for (var r = k + 1u; r < n; r++) {
            let size = abs(work[work_place(m, r, k)]);
            if (size > largest) {
                largest = size;
                pivot_row = r;
            }
        }
        if (largest == 0.0) {
            determinant = 0.0;
            break;
        }
        if (pivot_row != k) {
            for (var c = k; c < n; c++) {
                let moved = work[work_place(m, k, c)];
                work[work_place(m, k, c)] = work[work_place(m, pivot_row, c)];
                work[work_place(m, pivot_row, c)] = moved;
            }
            determinant = -determinant;
        }
        let pivot = work[work_place(m, k, k)];
        determinant *= pivot;
        for (var r = k + 1u; r < n; r++) {
            let factor = work[work_place(m, r, k)] / pivot;
            for (var c = k + 1u; c < n; c++) {
                work[work_place(m, r, c)] -= factor * work[work_place(m, k, c)];
            }
        }
    }
    out[m] = determinant;
}
