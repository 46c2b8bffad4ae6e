// What the products of two batches of matrices have in common: their numbers, where matrices begin, pieces of them.
//
//   a    batches of [m, k], element (i, d) at i * a_row + d * a_depth
//   b    batches of [k, n], element (d, j) at d * b_depth + j * b_column
//   out  batches of [m, n]
//
// `left_quad` and `right_tile` come from providers that know how the operands lie; what lies beyond k is zero in both, rows
// and columns beyond the last repeat it. `Element`, `Quad` and their arithmetic come from `product/float` or `product/int`.

// One dimension of the batches: its length, and the elements from one matrix to the next.
struct Batch {
    len: u32,
    a: u32,
    b: u32,
    pad: u32,
}

struct Params {
    m: u32,
    n: u32,
    k: u32,
    a_row: u32,
    a_depth: u32,
    b_depth: u32,
    b_column: u32,
    // Tiles beside and below each other in one matrix of the output.
    across: u32,
    down: u32,
    batches: u32,
    scale: f32,
    // Where the first matrices begin.
    a_start: u32,
    b_start: u32,
    // Columns that an invocation of batch_mat_mul_parts goes through.
    segment: u32,
    pad_1: u32,
    pad_2: u32,
    batch: array<Batch, RANK>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read_write> out: array<Element>;

// Four quads: rows of a 4 x 4 piece of a matrix.
struct Tile {
    q0: Quad,
    q1: Quad,
    q2: Quad,
    q3: Quad,
}

// The piece whose columns these are.
fn transposed(c0: Quad, c1: Quad, c2: Quad, c3: Quad) -> Tile {
    return Tile(
        Quad(c0.x, c1.x, c2.x, c3.x),
        Quad(c0.y, c1.y, c2.y, c3.y),
        Quad(c0.z, c1.z, c2.z, c3.z),
        Quad(c0.w, c1.w, c2.w, c3.w),
    );
}

// A workgroup's tile: which one below and beside in which batch, and where the batch's operands begin.
struct Place {
    batch: u32,
    down: u32,
    across: u32,
    a: u32,
    b: u32,
}

fn product_place(index: u32) -> Place {
    let per_matrix = params.across * params.down;
    let batch = index / per_matrix;
    let tile = index - batch * per_matrix;
    // Tiles below each other follow on each other: they read the same columns of b, whose lines may lie far apart.
    let across = tile / params.down;
    var place = Place(batch, tile - across * params.down, across, params.a_start, params.b_start);
    var rest = batch;
    for (var i = 0u; i < RANK; i++) {
        let dim = params.batch[RANK - 1u - i];
        let outer = rest / dim.len;
        let at = rest - outer * dim.len;
        place.a += at * dim.a;
        place.b += at * dim.b;
        rest = outer;
    }
    return place;
}
