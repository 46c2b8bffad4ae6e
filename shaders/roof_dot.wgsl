// How fast a device multiplies bytes: `dot4I8Packed` in registers.
//
// Operands: `written` [lanes] quads, so that nothing is left out.
// One invocation's share: ROUNDS * 48 products of four bytes each that are added up, eight operations each, in twelve independent sums.
// Assumes a grid of whole workgroups in one line.

const WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read_write> written: array<vec4<i32>>;

// Sums that go on from themselves, so that no product can be taken out of the loop.
fn dots(sums: vec4<i32>, y: u32) -> vec4<i32> {
    let x = bitcast<vec4<u32>>(sums);
    let products = vec4<i32>(dot4I8Packed(x.x, y), dot4I8Packed(x.y, y), dot4I8Packed(x.z, y), dot4I8Packed(x.w, y));
    return sums + products;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let y = 0x01020304u + id.x;
    var a = vec4<i32>(1, 2, 3, 4);
    var b = a + 4;
    var c = a + 8;
    for (var i = 0u; i < ROUNDS; i++) {
        a = dots(a, y);
        b = dots(b, y);
        c = dots(c, y);
        a = dots(a, y);
        b = dots(b, y);
        c = dots(c, y);
        a = dots(a, y);
        b = dots(b, y);
        c = dots(c, y);
        a = dots(a, y);
        b = dots(b, y);
        c = dots(c, y);
    }
    written[id.x] = a + b + c;
}
