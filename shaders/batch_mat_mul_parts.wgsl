// parts[batch, part, i, j] = the sum of a[i, d] * b[d, j] over the 32 depths d of a part, for few rows and devices that run few lanes and
// whose subgroups have at least 8.
//
//   a, b  batches of matrices: see product/operands.wgsl; b by rows, of which a provider loads 16 columns (`right_run`)
//   out   [batches, parts, m, n]: batch_mat_mul_combine adds the parts up
//
// One workgroup: a part of ROWS (1, 2 or 4) rows, 16 columns at a time of `params.segment`. Each lane reads four rows of b from one end to
// the other, a whole line of a cache at a time; the lanes' sums are added up by the way. Columns beyond
// the last are not stored, depths beyond the last are zeros.

// Sums of 16 columns of a row, or 16 columns of a row of b.
struct Run {
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

// The sum of what all eight lanes have, in all of them.
fn join(own: Quad) -> Quad {
    var sum = own + subgroupShuffleXor(own, 4u);
    sum += subgroupShuffleXor(sum, 2u);
    return sum + subgroupShuffleXor(sum, 1u);
}

// Stores the sums of 16 columns of a row, a quad by each of the first four lanes.
fn store_run(row: u32, first: u32, lane: u32, own: Run) {
    let sums = Run(join(own.q0), join(own.q1), join(own.q2), join(own.q3));
    let low = select(sums.q0, sums.q1, vec4<bool>(lane == 1u));
    let high = select(sums.q2, sums.q3, vec4<bool>(lane == 3u));
    let sum = select(low, high, vec4<bool>(lane >= 2u));
    let column = first + lane * 4u;
    if (lane < 4u && column < params.n) {
        let index = row * params.n + column;
        out[index] = sum.x;
        out[index + 1u] = sum.y;
        out[index + 2u] = sum.z;
        out[index + 3u] = sum.w;
    }
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = product_place(linear_workgroup(workgroup, grid));
    if (place.batch >= params.batches) {
        return;
    }
    let depth = (place.down * 8u + lane) * 4u;
    let rows = params.m;
    let row = (place.batch * params.down + place.down) * rows;
    let x0 = left_quad(place.a, 0u, depth);
    // Rows beyond the last repeat it; none of them is stored.
    let x1 = left_quad(place.a, 1u, depth);
    let x2 = left_quad(place.a, 2u, depth);
    let x3 = left_quad(place.a, 3u, depth);
    let first = place.across * params.segment;
    let end = min(first + params.segment, params.n);
    for (var column = first; column < end; column += 16u) {
        var sums = Sums();
        sums = add_depth(x0.x, x1.x, x2.x, x3.x, right_run(place.b, depth, column), sums);
        sums = add_depth(x0.y, x1.y, x2.y, x3.y, right_run(place.b, depth + 1u, column), sums);
        sums = add_depth(x0.z, x1.z, x2.z, x3.z, right_run(place.b, depth + 2u, column), sums);
        sums = add_depth(x0.w, x1.w, x2.w, x3.w, right_run(place.b, depth + 3u, column), sums);
        store_run(row, column, lane, sums.r0);
        if (ROWS > 1u && rows > 1u) {
            store_run(row + 1u, column, lane, sums.r1);
        }
        if (ROWS > 2u && rows > 2u) {
            store_run(row + 2u, column, lane, sums.r2);
        }
        if (ROWS > 2u && rows > 3u) {
            store_run(row + 3u, column, lane, sums.r3);
        }
    }
}
