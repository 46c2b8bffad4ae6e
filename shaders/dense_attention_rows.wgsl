// out = softmax(score(q k^T)) v in every batch, for devices that run few lanes and pay for barriers; every subgroup has at least 8
// lanes.
//
//   q, k, v, out  batches of matrices: see dense_attention/operands.wgsl
//
// One workgroup: 32 rows of queries, four a lane, whose numbers are the components of vectors. Keys and values pass by fours; each
// is loaded once for all rows, a quad by each lane, and handed round. The softmax is kept running. Whatever is kept has constant
// places wherever it is named, and no loop runs over these: one place that is computed, and all would lie in memory.

const DEPTH_QUADS: u32 = (DEPTH + 3u) / 4u;
const WIDTH_QUADS: u32 = (WIDTH + 3u) / 4u;

// Column d of the lane's four queries, and of the sums of values.
var<private> query: array<vec4<f32>, DEPTH_QUADS * 4u>;
var<private> sums: array<vec4<f32>, WIDTH_QUADS * 4u>;

// Four vectors: the columns of a 4 x 4 piece of four rows, or four rows' weights of four keys.
struct Four {
    c0: vec4<f32>,
    c1: vec4<f32>,
    c2: vec4<f32>,
    c3: vec4<f32>,
}

fn transposed(r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>) -> Four {
    return Four(
        vec4<f32>(r0.x, r1.x, r2.x, r3.x),
        vec4<f32>(r0.y, r1.y, r2.y, r3.y),
        vec4<f32>(r0.z, r1.z, r2.z, r3.z),
        vec4<f32>(r0.w, r1.w, r2.w, r3.w),
    );
}

// Brings four columns of the queries in, if there are such.
fn bring_quad(place: Place, row: u32, quad: u32) {
    if (quad < DEPTH_QUADS) {
        let column = quad * 4u;
        let columns = transposed(
            query_quad(place.q, row, column),
            query_quad(place.q, row + 1u, column),
            query_quad(place.q, row + 2u, column),
            query_quad(place.q, row + 3u, column),
        );
        query[column] = columns.c0;
        query[column + 1u] = columns.c1;
        query[column + 2u] = columns.c2;
        query[column + 3u] = columns.c3;
    }
}

fn bring_quads(place: Place, row: u32, quad: u32) {
    bring_quad(place, row, quad);
    bring_quad(place, row, quad + 1u);
    bring_quad(place, row, quad + 2u);
    bring_quad(place, row, quad + 3u);
    bring_quad(place, row, quad + 4u);
    bring_quad(place, row, quad + 5u);
    bring_quad(place, row, quad + 6u);
    bring_quad(place, row, quad + 7u);
}

// Adds the products of four columns of the queries and a key, if there are such.
fn add_key(sum: vec4<f32>, quad: u32, key: vec4<f32>) -> vec4<f32> {
    if (quad >= DEPTH_QUADS) {
        return sum;
    }
    var next = fma(query[quad * 4u], vec4<f32>(key.x), sum);
    next = fma(query[quad * 4u + 1u], vec4<f32>(key.y), next);
    next = fma(query[quad * 4u + 2u], vec4<f32>(key.z), next);
    return fma(query[quad * 4u + 3u], vec4<f32>(key.w), next);
}

fn add_keys(sum: vec4<f32>, place: Place, key: u32, lane: u32, quad: u32) -> vec4<f32> {
    if (quad >= DEPTH_QUADS) {
        return sum;
    }
    let own = key_quad(place.k, key, (quad + lane) * 4u);
    var even = sum;
    var odd = vec4<f32>();
    even = add_key(even, quad, subgroupBroadcast(own, 0u));
    odd = add_key(odd, quad + 1u, subgroupBroadcast(own, 1u));
    even = add_key(even, quad + 2u, subgroupBroadcast(own, 2u));
    odd = add_key(odd, quad + 3u, subgroupBroadcast(own, 3u));
    even = add_key(even, quad + 4u, subgroupBroadcast(own, 4u));
    odd = add_key(odd, quad + 5u, subgroupBroadcast(own, 5u));
    even = add_key(even, quad + 6u, subgroupBroadcast(own, 6u));
    odd = add_key(odd, quad + 7u, subgroupBroadcast(own, 7u));
    return even + odd;
}

// The scores of the lane's four queries and the key.
fn row_scores(place: Place, row: u32, key: u32, lane: u32) -> vec4<f32> {
    var sum = add_keys(vec4<f32>(), place, key, lane, 0u);
    sum = add_keys(sum, place, key, lane, 8u);
    sum = add_keys(sum, place, key, lane, 16u);
    sum = add_keys(sum, place, key, lane, 24u);
    let scores = vec4<f32>(
        attention_score(place, row, key, sum.x),
        attention_score(place, row + 1u, key, sum.y),
        attention_score(place, row + 2u, key, sum.z),
        attention_score(place, row + 3u, key, sum.w),
    );
    return select(vec4<f32>(LOWEST), scores, key < params.keys);
}

// Corrects one column of the sums, and adds four weighted values.
fn add_column(column: u32, correction: vec4<f32>, w: Four, x: vec4<f32>) {
    var next = fma(w.c0, vec4<f32>(x.x), sums[column] * correction);
    next = fma(w.c1, vec4<f32>(x.y), next);
    next = fma(w.c2, vec4<f32>(x.z), next);
    sums[column] = fma(w.c3, vec4<f32>(x.w), next);
}

// Adds four columns of four weighted values, if there are such.
fn add_value(quad: u32, correction: vec4<f32>, w: Four, columns: Four) {
    if (quad < WIDTH_QUADS) {
        add_column(quad * 4u, correction, w, columns.c0);
        add_column(quad * 4u + 1u, correction, w, columns.c1);
        add_column(quad * 4u + 2u, correction, w, columns.c2);
        add_column(quad * 4u + 3u, correction, w, columns.c3);
    }
}

fn add_values(place: Place, key: u32, lane: u32, quad: u32, correction: vec4<f32>, w: Four) {
    if (quad >= WIDTH_QUADS) {
        return;
    }
    let column = (quad + lane) * 4u;
    let own = transposed(
        value_quad(place.v, key, column),
        value_quad(place.v, key + 1u, column),
        value_quad(place.v, key + 2u, column),
        value_quad(place.v, key + 3u, column),
    );
    let v0 = Four(
        subgroupBroadcast(own.c0, 0u),
        subgroupBroadcast(own.c1, 0u),
        subgroupBroadcast(own.c2, 0u),
        subgroupBroadcast(own.c3, 0u),
    );
    add_value(quad, correction, w, v0);
    let v1 = Four(
        subgroupBroadcast(own.c0, 1u),
        subgroupBroadcast(own.c1, 1u),
        subgroupBroadcast(own.c2, 1u),
        subgroupBroadcast(own.c3, 1u),
    );
    add_value(quad + 1u, correction, w, v1);
    let v2 = Four(
        subgroupBroadcast(own.c0, 2u),
        subgroupBroadcast(own.c1, 2u),
        subgroupBroadcast(own.c2, 2u),
        subgroupBroadcast(own.c3, 2u),
    );
    add_value(quad + 2u, correction, w, v2);
    let v3 = Four(
        subgroupBroadcast(own.c0, 3u),
        subgroupBroadcast(own.c1, 3u),
        subgroupBroadcast(own.c2, 3u),
        subgroupBroadcast(own.c3, 3u),
    );
    add_value(quad + 3u, correction, w, v3);
    let v4 = Four(
        subgroupBroadcast(own.c0, 4u),
        subgroupBroadcast(own.c1, 4u),
        subgroupBroadcast(own.c2, 4u),
        subgroupBroadcast(own.c3, 4u),
    );
    add_value(quad + 4u, correction, w, v4);
    let v5 = Four(
        subgroupBroadcast(own.c0, 5u),
        subgroupBroadcast(own.c1, 5u),
        subgroupBroadcast(own.c2, 5u),
        subgroupBroadcast(own.c3, 5u),
    );
    add_value(quad + 5u, correction, w, v5);
    let v6 = Four(
        subgroupBroadcast(own.c0, 6u),
        subgroupBroadcast(own.c1, 6u),
        subgroupBroadcast(own.c2, 6u),
        subgroupBroadcast(own.c3, 6u),
    );
    add_value(quad + 6u, correction, w, v6);
    let v7 = Four(
        subgroupBroadcast(own.c0, 7u),
        subgroupBroadcast(own.c1, 7u),
        subgroupBroadcast(own.c2, 7u),
        subgroupBroadcast(own.c3, 7u),
    );
    add_value(quad + 7u, correction, w, v7);
}

// Stores four columns of the four rows, if there are such.
fn store_quad(place: Place, row: u32, quad: u32, total: vec4<f32>) {
    if (quad < WIDTH_QUADS) {
        let column = quad * 4u;
        let rows = transposed(
            sums[column] / total,
            sums[column + 1u] / total,
            sums[column + 2u] / total,
            sums[column + 3u] / total,
        );
        attention_store(place.batch, row, column, rows.c0);
        attention_store(place.batch, row + 1u, column, rows.c1);
        attention_store(place.batch, row + 2u, column, rows.c2);
        attention_store(place.batch, row + 3u, column, rows.c3);
    }
}

fn store_quads(place: Place, row: u32, quad: u32, total: vec4<f32>) {
    store_quad(place, row, quad, total);
    store_quad(place, row, quad + 1u, total);
    store_quad(place, row, quad + 2u, total);
    store_quad(place, row, quad + 3u, total);
    store_quad(place, row, quad + 4u, total);
    store_quad(place, row, quad + 5u, total);
    store_quad(place, row, quad + 6u, total);
    store_quad(place, row, quad + 7u, total);
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let place = attention_place(linear_workgroup(workgroup, grid));
    if (place.batch >= params.batches) {
        return;
    }
    let row = place.tile * 32u + lane * 4u;
    bring_quads(place, row, 0u);
    bring_quads(place, row, 8u);
    bring_quads(place, row, 16u);
    bring_quads(place, row, 24u);
    var largest = vec4<f32>(LOWEST);
    var total = vec4<f32>();
    for (var key = 0u; key < params.keys; key += 4u) {
        let s0 = row_scores(place, row, key, lane);
        let s1 = row_scores(place, row, key + 1u, lane);
        let s2 = row_scores(place, row, key + 2u, lane);
        let s3 = row_scores(place, row, key + 3u, lane);
        let top = max(largest, max(max(s0, s1), max(s2, s3)));
        let correction = exp(largest - top);
        let none = vec4<f32>();
        let w = Four(
            exp(s0 - top),
            select(none, exp(s1 - top), key + 1u < params.keys),
            select(none, exp(s2 - top), key + 2u < params.keys),
            select(none, exp(s3 - top), key + 3u < params.keys),
        );
        largest = top;
        total = fma(total, correction, (w.c0 + w.c1) + (w.c2 + w.c3));
        add_values(place, key, lane, 0u, correction, w);
        add_values(place, key, lane, 8u, correction, w);
        add_values(place, key, lane, 16u, correction, w);
        add_values(place, key, lane, 24u, correction, w);
    }
    store_quads(place, row, 0u, total);
    store_quads(place, row, 8u, total);
    store_quads(place, row, 16u, total);
    store_quads(place, row, 24u, total);
}
