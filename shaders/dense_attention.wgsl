// out = softmax(score(q k^T)) v in every batch.
//
//   q, k, v, out  batches of matrices: see dense_attention/operands.wgsl
//
// One workgroup: DOWN * 4 rows of queries. Keys pass in tiles of 64, and DOWN x 8 invocations each make the scores of 4 rows x 8 keys
// in registers, 16 columns of queries and keys at a time through workgroup memory. Their weights then go through the same memory as
// the left operand of a second product, 16 keys at a time beside their values; each invocation adds up 4 rows of OWN quads. The softmax
// is kept running: its largest score and its sum are corrected from tile to tile (Milakov and Gimelshein 2018, arXiv:1805.02867),
// and so no score leaves the workgroup (Dao et al. 2022, arXiv:2205.14135).

const LANES: u32 = DOWN * 8u;
// Output quads of each invocation and row, eight apart.
const OWN: u32 = (WIDTH + 31u) / 32u;
// Quads from one column of a tile to the next: one more than it has, so that columns lie in different banks.
const LEFT: u32 = DOWN + 1u;
const RIGHT: u32 = max(16u, OWN * 8u) + 1u;

// Quads of four rows of queries at every column, or of their weights at every key.
var<workgroup> left: array<vec4<f32>, 16u * LEFT>;
// Quads of four keys at every column, or of four columns of every value.
var<workgroup> right: array<vec4<f32>, 16u * RIGHT>;
// What the eight invocations of each row found.
var<workgroup> found: array<f32, LANES * 4u>;

// Brings 16 columns of the tile's queries and keys in, a piece of 4 x 4 at a time.
fn bring_columns(place: Place, key: u32, column: u32, lane: u32) {
    for (var i = lane; i < DOWN * 4u + 64u; i += LANES) {
        let c = column + (i & 3u) * 4u;
        if (i < DOWN * 4u) {
            let row = place.tile * DOWN * 4u + (i >> 2u) * 4u;
            let r0 = query_quad(place.q, row, c);
            let r1 = query_quad(place.q, row + 1u, c);
            let r2 = query_quad(place.q, row + 2u, c);
            let r3 = query_quad(place.q, row + 3u, c);
            let at = (i & 3u) * 4u * LEFT + (i >> 2u);
            left[at] = vec4<f32>(r0.x, r1.x, r2.x, r3.x);
            left[at + LEFT] = vec4<f32>(r0.y, r1.y, r2.y, r3.y);
            left[at + 2u * LEFT] = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
            left[at + 3u * LEFT] = vec4<f32>(r0.w, r1.w, r2.w, r3.w);
        } else {
            let quad = (i - DOWN * 4u) >> 2u;
            let r0 = key_quad(place.k, key + quad * 4u, c);
            let r1 = key_quad(place.k, key + quad * 4u + 1u, c);
            let r2 = key_quad(place.k, key + quad * 4u + 2u, c);
            let r3 = key_quad(place.k, key + quad * 4u + 3u, c);
            let at = (i & 3u) * 4u * RIGHT + quad;
            right[at] = vec4<f32>(r0.x, r1.x, r2.x, r3.x);
            right[at + RIGHT] = vec4<f32>(r0.y, r1.y, r2.y, r3.y);
            right[at + 2u * RIGHT] = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
            right[at + 3u * RIGHT] = vec4<f32>(r0.w, r1.w, r2.w, r3.w);
        }
    }
}

// The scores of a row and four keys.
fn key_scores(place: Place, row: u32, key: u32, products: vec4<f32>) -> vec4<f32> {
    let keys = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
    let scores = vec4<f32>(
        attention_score(place, row, keys.x, products.x),
        attention_score(place, row, keys.y, products.y),
        attention_score(place, row, keys.z, products.z),
        attention_score(place, row, keys.w, products.w),
    );
    return select(vec4<f32>(LOWEST), scores, keys < vec4<u32>(params.keys));
}

// The weights of four keys.
fn key_weights(key: u32, scores: vec4<f32>, top: f32) -> vec4<f32> {
    let keys = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
    return select(vec4<f32>(), exp(scores - top), keys < vec4<u32>(params.keys));
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = attention_place(linear_workgroup(workgroup, grid));
    if (place.batch >= params.batches) {
        return;
    }
    let across = lane & 7u;
    let down = lane >> 3u;
    let row = (place.tile * DOWN + down) * 4u;
    var largest = vec4<f32>(LOWEST);
    // Of the invocation's own keys.
    var total = vec4<f32>();
    var sums: array<array<vec4<f32>, OWN>, 4>;

    for (var first = 0u; first < params.keys; first += 64u) {
        var scores: array<array<vec4<f32>, 2>, 4>;
        for (var column = 0u; column < DEPTH; column += 16u) {
            bring_columns(place, first, column, lane);
            workgroupBarrier();
            for (var i = 0u; i < 16u; i++) {
                let a = left[i * LEFT + down];
                let b0 = right[i * RIGHT + across];
                let b1 = right[i * RIGHT + across + 8u];
                for (var j = 0u; j < 4u; j++) {
                    scores[j][0] = fma(vec4<f32>(a[j]), b0, scores[j][0]);
                    scores[j][1] = fma(vec4<f32>(a[j]), b1, scores[j][1]);
                }
            }
            workgroupBarrier();
        }

        let key = first + across * 4u;
        for (var j = 0u; j < 4u; j++) {
            scores[j][0] = key_scores(place, row + j, key, scores[j][0]);
            scores[j][1] = key_scores(place, row + j, key + 32u, scores[j][1]);
            let m = max(scores[j][0], scores[j][1]);
            found[(down * 4u + j) * 8u + across] = max(max(m.x, m.y), max(m.z, m.w));
        }
        workgroupBarrier();
        for (var j = 0u; j < 4u; j++) {
            var top = largest[j];
            for (var i = 0u; i < 8u; i++) {
                top = max(top, found[(down * 4u + j) * 8u + i]);
            }
            let correction = exp(largest[j] - top);
            largest[j] = top;
            scores[j][0] = key_weights(key, scores[j][0], top);
            scores[j][1] = key_weights(key + 32u, scores[j][1], top);
            let w = scores[j][0] + scores[j][1];
            total[j] = fma(total[j], correction, (w.x + w.y) + (w.z + w.w));
            for (var o = 0u; o < OWN; o++) {
                sums[j][o] *= correction;
            }
        }

        for (var part = 0u; part < 4u; part++) {
            // The invocations that have the weights of these 16 keys.
            if (across >> 2u == (part & 1u)) {
                let late = part >= 2u;
                let r0 = select(scores[0][0], scores[0][1], late);
                let r1 = select(scores[1][0], scores[1][1], late);
                let r2 = select(scores[2][0], scores[2][1], late);
                let r3 = select(scores[3][0], scores[3][1], late);
                let at = (across & 3u) * 4u * LEFT + down;
                left[at] = vec4<f32>(r0.x, r1.x, r2.x, r3.x);
                left[at + LEFT] = vec4<f32>(r0.y, r1.y, r2.y, r3.y);
                left[at + 2u * LEFT] = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
                left[at + 3u * LEFT] = vec4<f32>(r0.w, r1.w, r2.w, r3.w);
            }
            for (var i = lane; i < 16u * OWN * 8u; i += LANES) {
                let own = i / (OWN * 8u);
                let quad = i % (OWN * 8u);
                right[own * RIGHT + quad] = value_quad(place.v, first + part * 16u + own, quad * 4u);
            }
            workgroupBarrier();
            for (var i = 0u; i < 16u; i++) {
                let w = left[i * LEFT + down];
                for (var o = 0u; o < OWN; o++) {
                    let value = right[i * RIGHT + across + o * 8u];
                    for (var j = 0u; j < 4u; j++) {
                        sums[j][o] = fma(vec4<f32>(w[j]), value, sums[j][o]);
                    }
                }
            }
            workgroupBarrier();
        }
    }

    for (var j = 0u; j < 4u; j++) {
        found[(down * 4u + j) * 8u + across] = total[j];
    }
    workgroupBarrier();
    for (var j = 0u; j < 4u; j++) {
        var all = 0.0;
        for (var i = 0u; i < 8u; i++) {
            all += found[(down * 4u + j) * 8u + i];
        }
        for (var o = 0u; o < OWN; o++) {
            attention_store(place.batch, row + j, (across + o * 8u) * 4u, sums[j][o] / all);
        }
    }
}
