// parts[batch, part, i, j] = the sum of a[i, d] * b[d, j] over the 16 depths d of a part, for few rows and devices that run few lanes.
//
//   a, b  batches of matrices: see product/operands.wgsl; b by rows
//   out   [batches, parts, m, n]: batch_mat_mul_combine adds the parts up
//
// One invocation: a part of ROWS (1, 2 or 4) rows, 16 columns at a time of `params.segment`. So each lane reads 16 rows of b from one end
// to the other, a whole line of a cache at a time. The columns beyond the last quad repeat it and are not stored.

// Sums of 16 columns of a row, or 16 columns of a row of b.
struct Run {
    q0: Quad,
    q1: Quad,
    q2: Quad,
    q3: Quad,
}

// Depths of a row of a.
struct Depths {
    q0: Quad,
    q1: Quad,
    q2: Quad,
    q3: Quad,
}

struct Sums {
    r0: Run,
    r1: Run,
    r2: Run,
    r3: Run,
}

fn row_depths(base: u32, row: u32, depth: u32) -> Depths {
    return Depths(
        left_quad(base, row, depth),
        left_quad(base, row, depth + 4u),
        left_quad(base, row, depth + 8u),
        left_quad(base, row, depth + 12u),
    );
}

// Sixteen columns of b, whose quads begin at these places.
fn load_run(places: vec4<u32>, depth: u32) -> Run {
    return Run(
        right_quad(places.x, depth),
        right_quad(places.y, depth),
        right_quad(places.z, depth),
        right_quad(places.w, depth),
    );
}

fn add_run(x: Element, b: Run, sum: Run) -> Run {
    return Run(
        multiply_add(Quad(x), b.q0, sum.q0),
        multiply_add(Quad(x), b.q1, sum.q1),
        multiply_add(Quad(x), b.q2, sum.q2),
        multiply_add(Quad(x), b.q3, sum.q3),
    );
}

// Adds a depth, of which the rows have these.
fn add_depth(x0: Element, x1: Element, x2: Element, x3: Element, b: Run, sums: Sums) -> Sums {
    var s = sums;
    s.r0 = add_run(x0, b, s.r0);
    if (ROWS > 1u) {
        s.r1 = add_run(x1, b, s.r1);
    }
    if (ROWS > 2u) {
        s.r2 = add_run(x2, b, s.r2);
        s.r3 = add_run(x3, b, s.r3);
    }
    return s;
}

fn add_four(places: vec4<u32>, depth: u32, x0: Quad, x1: Quad, x2: Quad, x3: Quad, sums: Sums) -> Sums {
    var s = add_depth(x0.x, x1.x, x2.x, x3.x, load_run(places, depth), sums);
    s = add_depth(x0.y, x1.y, x2.y, x3.y, load_run(places, depth + 1u), s);
    s = add_depth(x0.z, x1.z, x2.z, x3.z, load_run(places, depth + 2u), s);
    return add_depth(x0.w, x1.w, x2.w, x3.w, load_run(places, depth + 3u), s);
}

fn store_part(index: u32, column: u32, sum: Quad) {
    if (column < params.n) {
        out[index] = sum.x;
        out[index + 1u] = sum.y;
        out[index + 2u] = sum.z;
        out[index + 3u] = sum.w;
    }
}

fn store_run(row: u32, column: u32, sums: Run) {
    let index = row * params.n + column;
    store_part(index, column, sums.q0);
    store_part(index + 4u, column + 4u, sums.q1);
    store_part(index + 8u, column + 8u, sums.q2);
    store_part(index + 12u, column + 12u, sums.q3);
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = product_place(linear_workgroup(workgroup, grid));
    let part = place.down * 8u + lane;
    let depth = part * 16u;
    if (place.batch >= params.batches || depth >= params.k) {
        return;
    }
    let parts = (params.k + 15u) / 16u;
    let row = (place.batch * parts + part) * params.m;
    let x0 = row_depths(place.a, 0u, depth);
    // Rows beyond the last repeat it; none of them is stored.
    let x1 = row_depths(place.a, 1u, depth);
    let x2 = row_depths(place.a, 2u, depth);
    let x3 = row_depths(place.a, 3u, depth);
    let first = place.across * params.segment;
    for (var column = first; column < min(first + params.segment, params.n); column += 16u) {
        let columns = vec4<u32>(column, column + 4u, column + 8u, column + 12u);
        let places = place.b + min(columns, vec4<u32>(params.n - 4u));
        var sums = Sums();
        sums = add_four(places, depth, x0.q0, x1.q0, x2.q0, x3.q0, sums);
        sums = add_four(places, depth + 4u, x0.q1, x1.q1, x2.q1, x3.q1, sums);
        sums = add_four(places, depth + 8u, x0.q2, x1.q2, x2.q2, x3.q2, sums);
        sums = add_four(places, depth + 12u, x0.q3, x1.q3, x2.q3, x3.q3, sums);
        store_run(row, column, sums.r0);
        if (ROWS > 1u && params.m > 1u) {
            store_run(row + 1u, column, sums.r1);
        }
        if (ROWS > 2u && params.m > 2u) {
            store_run(row + 2u, column, sums.r2);
        }
        if (ROWS > 2u && params.m > 3u) {
            store_run(row + 3u, column, sums.r3);
        }
    }
}
