// What kernels of dense attention have in common: their numbers, where the operands of a batch begin, and scores.
//
//   q, k, v  batches of [rows, DEPTH], [keys, DEPTH] and [keys, WIDTH], each read through its own strides
//   out      batches of [rows, WIDTH]
//
// `query_quad`, `key_quad` and `value_quad` come from providers that know how the operands lie. What a score is made of beside the
// product are up to four masks, broadcast to [.., rows, keys]; the tail reads them through `strided`.

// One dimension of the batches: its length, and the elements of each operand from one to the next.
struct Batch {
    len: u32,
    q: u32,
    k: u32,
    v: u32,
    masks: vec4<u32>,
}

struct Params {
    rows: u32,
    keys: u32,
    // Tiles of rows in a batch.
    down: u32,
    batches: u32,
    scale: f32,
    q_start: u32,
    k_start: u32,
    v_start: u32,
    // Elements from one row to the next, and from one column to the next.
    q_row: u32,
    q_column: u32,
    k_row: u32,
    k_column: u32,
    v_row: u32,
    v_column: u32,
    pad_0: u32,
    pad_1: u32,
    mask_start: vec4<u32>,
    mask_row: vec4<u32>,
    mask_column: vec4<u32>,
    batch: array<Batch, RANK>,
}

// The least finite number: no score is below it but minus infinity, which it takes no part in.
const LOWEST: f32 = -0x1.fffffep+127f;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

// Where a workgroup's operands begin, and its tile of rows.
struct Place {
    batch: u32,
    tile: u32,
    q: u32,
    k: u32,
    v: u32,
    masks: vec4<u32>,
}

fn attention_place(index: u32) -> Place {
    let batch = index / params.down;
    var place =
        Place(batch, index - batch * params.down, params.q_start, params.k_start, params.v_start, params.mask_start);
    var rest = batch;
    for (var i = 0u; i < RANK; i++) {
        let dim = params.batch[RANK - 1u - i];
        let outer = rest / dim.len;
        let at = rest - outer * dim.len;
        place.q += at * dim.q;
        place.k += at * dim.k;
        place.v += at * dim.v;
        place.masks += at * dim.masks;
        rest = outer;
    }
    return place;
}

// Where each mask's row begins that belongs to the scores being made.
var<private> mask_places: vec4<u32>;

fn strided(index: u32, list: u32) -> u32 {
    return mask_places[list] + index * params.mask_column[list];
}

// The score of row `row` and key `key`, either of which may lie beyond the last.
fn attention_score(place: Place, row: u32, key: u32, product: f32) -> f32 {
    mask_places = place.masks + min(row, params.rows - 1u) * params.mask_row;
    return tail(product * params.scale, min(key, params.keys - 1u), 0u);
}

// Stores columns column .. column + 4 of row `row`, as far as there are such.
fn attention_store(batch: u32, row: u32, column: u32, values: vec4<f32>) {
    if (row < params.rows) {
        let base = (batch * params.rows + row) * WIDTH + column;
        for (var i = 0u; i < 4u; i++) {
            if (column + i < WIDTH) {
                out[base + i] = values[i];
            }
        }
    }
}
