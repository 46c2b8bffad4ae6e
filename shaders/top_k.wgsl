// The k largest elements of each row, largest first, the lower index first among equals.
//
//   x        [rows, columns] f32
//   values   [rows, k] f32
//   indices  [rows, k] u32
//
// One workgroup: one row. The key of rank k is found by radix selection, a byte at a time from the top, over
// order-preserving keys; everything above it is collected, then as many equals as still fit, lowest index first; PLACES
// (k rounded up to a power of two) collected pairs are sorted bitonically.

const LANES: u32 = 64u;

struct Params {
    rows: u32,
    columns: u32,
    k: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

var<workgroup> histogram: array<atomic<u32>, 256>;
// The bits of the wanted key that are known, and how many of the k are left among the keys that share them.
var<workgroup> known: u32;
var<workgroup> wanted: u32;
var<workgroup> collected: atomic<u32>;
var<workgroup> equals: array<u32, LANES>;
var<workgroup> place_keys: array<u32, PLACES>;
var<workgroup> place_indices: array<u32, PLACES>;

// Whether the pair at `a` belongs before the pair at `b`.
fn before(a: u32, b: u32) -> bool {
    if (place_keys[a] != place_keys[b]) {
        return place_keys[a] > place_keys[b];
    }
    return place_indices[a] < place_indices[b];
}

fn collect(at: u32, key: u32, index: u32) {
    if (at < PLACES) {
        place_keys[at] = key;
        place_indices[at] = index;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_workgroup(workgroup, grid);
    if (row >= params.rows) {
        return;
    }
    let base = row * params.columns;
    let run = (params.columns + LANES - 1u) / LANES;
    let first = min(lane * run, params.columns);
    let end = min(first + run, params.columns);
    if (lane == 0u) {
        known = 0u;
        wanted = params.k;
        atomicStore(&collected, 0u);
    }
    for (var i = lane; i < PLACES; i += LANES) {
        place_keys[i] = 0u;
        place_indices[i] = 0xffffffffu;
    }

    for (var shift = 24i; shift >= 0i; shift -= 8i) {
        for (var i = lane; i < 256u; i += LANES) {
            atomicStore(&histogram[i], 0u);
        }
        workgroupBarrier();
        let prefix = known;
        // Bits above this byte; shifting by 32 is undefined.
        let mask = select(0xffffffffu << (u32(shift) + 8u), 0u, shift == 24i);
        for (var i = first; i < end; i++) {
            let key = order_key(x[base + i]);
            if ((key & mask) == prefix) {
                atomicAdd(&histogram[(key >> u32(shift)) & 255u], 1u);
            }
        }
        workgroupBarrier();
        if (lane == 0u) {
            var left = wanted;
            var digit = 255u;
            for (; digit > 0u; digit--) {
                let count = atomicLoad(&histogram[digit]);
                if (count >= left) {
                    break;
                }
                left -= count;
            }
            wanted = left;
            known = prefix | (digit << u32(shift));
        }
        workgroupBarrier();
    }

    let threshold = known;
    var own = 0u;
    for (var i = first; i < end; i++) {
        let key = order_key(x[base + i]);
        if (key > threshold) {
            collect(atomicAdd(&collected, 1u), key, i);
        }
        own += u32(key == threshold);
    }
    equals[lane] = own;
    workgroupBarrier();
    var rank = 0u;
    for (var i = 0u; i < lane; i++) {
        rank += equals[i];
    }
    let above = params.k - wanted;
    for (var i = first; i < end; i++) {
        if (rank >= wanted) {
            break;
        }
        if (order_key(x[base + i]) == threshold) {
            collect(above + rank, threshold, i);
            rank += 1u;
        }
    }
    workgroupBarrier();

    for (var size = 2u; size <= PLACES; size <<= 1u) {
        for (var stride = size >> 1u; stride > 0u; stride >>= 1u) {
            for (var i = lane; i < PLACES / 2u; i += LANES) {
                let a = 2u * i - (i & (stride - 1u));
                let b = a + stride;
                // Runs of `size` alternate between the wanted order and its reverse, so that the next size merges them.
                let forward = (a & size) == 0u;
                if (before(b, a) == forward) {
                    let key = place_keys[a];
                    let index = place_indices[a];
                    place_keys[a] = place_keys[b];
                    place_indices[a] = place_indices[b];
                    place_keys[b] = key;
                    place_indices[b] = index;
                }
            }
            workgroupBarrier();
        }
    }
    for (var i = lane; i < params.k; i += LANES) {
        values[row * params.k + i] = number_of_key(place_keys[i]);
        indices[row * params.k + i] = place_indices[i];
    }
}
