// out = softmax(score(q k^T)) v in every batch, for devices that run few lanes and pay for barriers; every subgroup has at least 8
// lanes.
//
//   q, k, v, out  batches of matrices: see dense_attention/operands.wgsl
//
// One workgroup: 32 rows of queries, four a lane, whose numbers are the components of vectors. Keys and values pass by fours; each
// is loaded once for all rows, a quad by each lane, and handed round. The softmax is kept running, and what came before is corrected
// only when some row finds a larger score. Whatever is kept has constant places wherever it is named, so that none is searched for.

const DEPTH_QUADS: u32 = (DEPTH + 3u) / 4u;
const WIDTH_QUADS: u32 = (WIDTH + 3u) / 4u;

// Column d of the lane's four queries, and of the sums of values.
var<private> query: array<vec4<f32>, DEPTH_QUADS * 4u>;
var<private> sums: array<vec4<f32>, WIDTH_QUADS * 4u>;

// Adds the products of four columns of the queries and a key, if the queries have them.
fn add_key(sum: vec4<f32>, quad: u32, key: vec4<f32>) -> vec4<f32> {
    if (quad >= DEPTH_QUADS) {
        return sum;
    }
    var next = fma(query[quad * 4u], vec4<f32>(key.x), sum);
    next = fma(query[quad * 4u + 1u], vec4<f32>(key.y), next);
    next = fma(query[quad * 4u + 2u], vec4<f32>(key.z), next);
    return fma(query[quad * 4u + 3u], vec4<f32>(key.w), next);
}

// The scores of the lane's four queries and the key.
fn row_scores(place: Place, row: u32, key: u32, lane: u32) -> vec4<f32> {
    var even = vec4<f32>();
    var odd = vec4<f32>();
    for (var i = 0u; i < DEPTH_QUADS; i += 8u) {
        let own = key_quad(place.k, key, (i + lane) * 4u);
        even = add_key(even, i, subgroupBroadcast(own, 0u));
        odd = add_key(odd, i + 1u, subgroupBroadcast(own, 1u));
        even = add_key(even, i + 2u, subgroupBroadcast(own, 2u));
        odd = add_key(odd, i + 3u, subgroupBroadcast(own, 3u));
        even = add_key(even, i + 4u, subgroupBroadcast(own, 4u));
        odd = add_key(odd, i + 5u, subgroupBroadcast(own, 5u));
        even = add_key(even, i + 6u, subgroupBroadcast(own, 6u));
        odd = add_key(odd, i + 7u, subgroupBroadcast(own, 7u));
    }
    let sum = even + odd;
    let found = vec4<f32>(
        attention_score(place, row, key, sum.x),
        attention_score(place, row + 1u, key, sum.y),
        attention_score(place, row + 2u, key, sum.z),
        attention_score(place, row + 3u, key, sum.w),
    );
    return select(vec4<f32>(LOWEST), found, key < params.keys);
}

// Four vectors: four rows' weights of four keys, or four columns of four values.
struct Four {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
}

// Adds one column of four weighted values.
fn add_column(column: u32, w: Four, x: vec4<f32>) {
    var next = fma(w.q0, vec4<f32>(x.x), sums[column]);
    next = fma(w.q1, vec4<f32>(x.y), next);
    next = fma(w.q2, vec4<f32>(x.z), next);
    sums[column] = fma(w.q3, vec4<f32>(x.w), next);
}

// Adds four columns of four weighted values, if the values have them.
fn add_values(quad: u32, w: Four, v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>) {
    if (quad < WIDTH_QUADS) {
        add_column(quad * 4u, w, vec4<f32>(v0.x, v1.x, v2.x, v3.x));
        add_column(quad * 4u + 1u, w, vec4<f32>(v0.y, v1.y, v2.y, v3.y));
        add_column(quad * 4u + 2u, w, vec4<f32>(v0.z, v1.z, v2.z, v3.z));
        add_column(quad * 4u + 3u, w, vec4<f32>(v0.w, v1.w, v2.w, v3.w));
    }
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
    for (var i = 0u; i < DEPTH_QUADS; i++) {
        let q0 = query_quad(place.q, row, i * 4u);
        let q1 = query_quad(place.q, row + 1u, i * 4u);
        let q2 = query_quad(place.q, row + 2u, i * 4u);
        let q3 = query_quad(place.q, row + 3u, i * 4u);
        query[i * 4u] = vec4<f32>(q0.x, q1.x, q2.x, q3.x);
        query[i * 4u + 1u] = vec4<f32>(q0.y, q1.y, q2.y, q3.y);
        query[i * 4u + 2u] = vec4<f32>(q0.z, q1.z, q2.z, q3.z);
        query[i * 4u + 3u] = vec4<f32>(q0.w, q1.w, q2.w, q3.w);
    }
    var largest = vec4<f32>(LOWEST);
    var total = vec4<f32>();

    for (var key = 0u; key < params.keys; key += 4u) {
        let s0 = row_scores(place, row, key, lane);
        let s1 = row_scores(place, row, key + 1u, lane);
        let s2 = row_scores(place, row, key + 2u, lane);
        let s3 = row_scores(place, row, key + 3u, lane);
        let top = max(largest, max(max(s0, s1), max(s2, s3)));
        if (subgroupAny(any(top > largest))) {
            let correction = exp(largest - top);
            total *= correction;
            for (var i = 0u; i < WIDTH_QUADS * 4u; i++) {
                sums[i] *= correction;
            }
        }
        largest = top;
        let none = vec4<f32>();
        let w = Four(
            exp(s0 - top),
            select(none, exp(s1 - top), key + 1u < params.keys),
            select(none, exp(s2 - top), key + 2u < params.keys),
            select(none, exp(s3 - top), key + 3u < params.keys),
        );
        total += (w.q0 + w.q1) + (w.q2 + w.q3);
        for (var i = 0u; i < WIDTH_QUADS; i += 8u) {
            let column = (i + lane) * 4u;
            let v0 = value_quad(place.v, key, column);
            let v1 = value_quad(place.v, key + 1u, column);
            let v2 = value_quad(place.v, key + 2u, column);
            let v3 = value_quad(place.v, key + 3u, column);
            add_values(i, w, subgroupBroadcast(v0, 0u), subgroupBroadcast(v1, 0u), subgroupBroadcast(v2, 0u), subgroupBroadcast(v3, 0u));
            add_values(i + 1u, w, subgroupBroadcast(v0, 1u), subgroupBroadcast(v1, 1u), subgroupBroadcast(v2, 1u), subgroupBroadcast(v3, 1u));
            add_values(i + 2u, w, subgroupBroadcast(v0, 2u), subgroupBroadcast(v1, 2u), subgroupBroadcast(v2, 2u), subgroupBroadcast(v3, 2u));
            add_values(i + 3u, w, subgroupBroadcast(v0, 3u), subgroupBroadcast(v1, 3u), subgroupBroadcast(v2, 3u), subgroupBroadcast(v3, 3u));
            add_values(i + 4u, w, subgroupBroadcast(v0, 4u), subgroupBroadcast(v1, 4u), subgroupBroadcast(v2, 4u), subgroupBroadcast(v3, 4u));
            add_values(i + 5u, w, subgroupBroadcast(v0, 5u), subgroupBroadcast(v1, 5u), subgroupBroadcast(v2, 5u), subgroupBroadcast(v3, 5u));
            add_values(i + 6u, w, subgroupBroadcast(v0, 6u), subgroupBroadcast(v1, 6u), subgroupBroadcast(v2, 6u), subgroupBroadcast(v3, 6u));
            add_values(i + 7u, w, subgroupBroadcast(v0, 7u), subgroupBroadcast(v1, 7u), subgroupBroadcast(v2, 7u), subgroupBroadcast(v3, 7u));
        }
    }

    for (var i = 0u; i < WIDTH_QUADS; i++) {
        let c0 = sums[i * 4u] / total;
        let c1 = sums[i * 4u + 1u] / total;
        let c2 = sums[i * 4u + 2u] / total;
        let c3 = sums[i * 4u + 3u] / total;
        attention_store(place.batch, row, i * 4u, vec4<f32>(c0.x, c1.x, c2.x, c3.x));
        attention_store(place.batch, row + 1u, i * 4u, vec4<f32>(c0.y, c1.y, c2.y, c3.y));
        attention_store(place.batch, row + 2u, i * 4u, vec4<f32>(c0.z, c1.z, c2.z, c3.z));
        attention_store(place.batch, row + 3u, i * 4u, vec4<f32>(c0.w, c1.w, c2.w, c3.w));
    }
}
