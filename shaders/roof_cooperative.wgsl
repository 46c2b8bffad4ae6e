// How fast subgroups multiply matrices together: products added up in registers, of matrices that a provider names (`cooperative/*`).
//
// Operands: `written` [workgroups] pairs: the number of subgroups, which tells how much was done, and a sum, which tells that it was.
// One subgroup's share: ROUNDS * 4 products of SIZE x SIZE matrices of halves, in four independent sums that begin with 0, 4, 8 and 12.
// Assumes a grid of whole workgroups in one line, of at most SLABS subgroups each.

@group(0) @binding(1) var<storage, read_write> written: array<vec2<f32>>;

const AREA: u32 = SIZE * SIZE;

var<workgroup> left_tile: array<Element, AREA>;
var<workgroup> right_tile: array<Element, AREA>;
// Sums begin four elements after one another: matrices lie at multiples of 16 bytes.
var<workgroup> starts: array<f32, AREA + 12u>;
// A matrix of each subgroup.
var<workgroup> blocks: array<f32, SLABS * AREA>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    for (var i = lane; i < AREA; i += 128u) {
        left_tile[i] = Element(0.5);
        right_tile[i] = Element(0.5);
    }
    for (var i = lane; i < AREA + 12u; i += 128u) {
        starts[i] = f32(i);
    }
    workgroupBarrier();
    let left = coopLoadT<Left>(&left_tile[0], SIZE);
    let right = coopLoad<Right>(&right_tile[0], SIZE);
    var a = coopLoadT<Block>(&starts[0], SIZE);
    var b = coopLoadT<Block>(&starts[4], SIZE);
    var c = coopLoadT<Block>(&starts[8], SIZE);
    var d = coopLoadT<Block>(&starts[12], SIZE);
    for (var i = 0u; i < ROUNDS; i++) {
        a = coopMultiplyAdd(left, right, a);
        b = coopMultiplyAdd(left, right, b);
        c = coopMultiplyAdd(left, right, c);
        d = coopMultiplyAdd(left, right, d);
    }
    let own = subgroup * AREA;
    var sum = 0.0;
    coopStoreT(a, &blocks[own], SIZE);
    workgroupBarrier();
    sum += blocks[0];
    workgroupBarrier();
    coopStoreT(b, &blocks[own], SIZE);
    workgroupBarrier();
    sum += blocks[0];
    workgroupBarrier();
    coopStoreT(c, &blocks[own], SIZE);
    workgroupBarrier();
    sum += blocks[0];
    workgroupBarrier();
    coopStoreT(d, &blocks[own], SIZE);
    workgroupBarrier();
    sum += blocks[0];
    if (lane == 0u) {
        written[workgroup.x] = vec2<f32>(f32(subgroups), sum);
    }
}
