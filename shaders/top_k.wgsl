// The k greatest elements of each column (LARGEST 1) or its k least ones, in order, the lower index first among equals.
//
//   x        words of `count` columns: see `columns.wgsl`
//   values   words of as many columns of k elements
//   indices  u32, as the values
//
// One workgroup: one column. The key of rank k is found by radix selection, a byte at a time from the top, over
// order-preserving keys; everything above it is collected into k places (a provider has them), then as many equals as still
// fit, lowest index first; the places are sorted bitonically. PLACES is k rounded up to a power of two.

struct Params {
    count: u32,
    len: u32,
    stride: u32,
    k: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<u32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

// Where the column begins in `x` and in the outputs.
var<private> x_start: u32;
var<private> out_start: u32;

var<workgroup> histogram: array<atomic<u32>, 256>;
// The bits of the wanted key that are known, and how many of the k are left among the keys that share them.
var<workgroup> known: u32;
var<workgroup> wanted: u32;
var<workgroup> collected: atomic<u32>;
var<workgroup> equals: array<u32, LANES>;

fn key_at(i: u32) -> u32 {
    return turned_key(element_key(x[x_start + i * params.stride]));
}

// Puts the pairs at the places `a` and `b` in order, where both places are used.
fn put_in_order(a: u32, b: u32) {
    if (b >= params.k) {
        return;
    }
    let first = place(a);
    let second = place(b);
    if (second.x > first.x || (second.x == first.x && second.y < first.y)) {
        set_place(a, second);
        set_place(b, first);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = linear_workgroup(workgroup, grid);
    if (column >= params.count) {
        return;
    }
    x_start = column_start(column, params.len, params.stride);
    out_start = column_start(column, params.k, params.stride);
    let run = (params.len + LANES - 1u) / LANES;
    let first = min(lane * run, params.len);
    let end = min(first + run, params.len);
    if (lane == 0u) {
        known = 0u;
        wanted = params.k;
        atomicStore(&collected, 0u);
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
            let key = key_at(i);
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
        let key = key_at(i);
        if (key > threshold) {
            set_place(atomicAdd(&collected, 1u), vec2<u32>(key, i));
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
        if (key_at(i) == threshold) {
            set_place(above + rank, vec2<u32>(threshold, i));
            rank += 1u;
        }
    }
    places_barrier();

    // Ordered runs of `half` are merged in pairs: each is compared with its neighbour's mirror image, then the two halves, which
    // are bitonic, are sorted by themselves. What comes first always goes to the lower place, so that places from k on, which
    // are as if they held what comes last, need not exist.
    for (var half = 1u; half < PLACES; half <<= 1u) {
        for (var i = lane; i < PLACES / 2u; i += LANES) {
            let block = i / half * 2u * half;
            let offset = i % half;
            put_in_order(block + offset, block + 2u * half - 1u - offset);
        }
        places_barrier();
        for (var step = half >> 1u; step > 0u; step >>= 1u) {
            for (var i = lane; i < PLACES / 2u; i += LANES) {
                let a = 2u * i - (i & (step - 1u));
                put_in_order(a, a + step);
            }
            places_barrier();
        }
    }
    for (var i = lane; i < params.k; i += LANES) {
        let pair = place(i);
        let at = out_start + i * params.stride;
        values[at] = element_of_key(turned_key(pair.x));
        indices[at] = pair.y;
    }
}
