//! Counts of small kernels, by hand.

use wavelane::gate::{Cost, Count, Feature, Shader, Target};

/// A kernel with that body, which may use what is declared here.
fn shader(body: &str) -> Shader {
    let source = format!(
        "const FOUR: u32 = 4u;
         struct Params {{ n: u32, m: i32 }}
         struct Pair {{ a: vec4<f32>, b: f32 }}
         @group(0) @binding(0) var<uniform> params: Params;
         @group(0) @binding(1) var<storage, read_write> x: array<f32>;
         @group(0) @binding(2) var<storage, read_write> quads: array<vec4<f32>>;
         @group(0) @binding(3) var<storage, read_write> pairs: array<Pair>;
         @group(0) @binding(4) var<storage, read_write> words: array<vec2<u32>>;
         @group(0) @binding(5) var<storage, read_write> triples: array<vec3<f32>>;
         @group(0) @binding(6) var<storage, read_write> counter: atomic<u32>;
         var<workgroup> tile: array<vec4<f32>, 20>;
         var<workgroup> flag: u32;
         fn chosen(i: u32) -> f32 {{ if (i == 0u) {{ return x[0] + x[1]; }} return quads[i].x; }}
         fn powers(n: u32) -> f32 {{ var sum = 0.0; for (var i = 0u; i < n; i++) {{ sum += x[i]; }} return sum; }}
         fn change(p: ptr<function, u32>) {{ *p = params.n; }}
         @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) {{ {body} }}"
    );
    Shader::parse("test", &source).unwrap_or_else(|e| panic!("{e}"))
}

fn cost(body: &str) -> Cost {
    shader(body).cost()
}

/// The counts outside of loops with unknown bounds, all but those of integers.
fn once(body: &str) -> String {
    let cost = cost(body);
    assert_eq!(cost.loops, 0, "{body}");
    floats(&cost)
}

fn floats(cost: &Cost) -> String {
    cost.to_string().split(' ').filter(|word| !word.starts_with("ints")).collect::<Vec<_>>().join(" ")
}

#[test]
fn accesses_are_counted_by_width() {
    assert_eq!(once("x[lane] = x[lane + 1u];"), "load4=1 store4=1");
    assert_eq!(once("quads[lane] = quads[0];"), "load16=1 store16=1");
    assert_eq!(once("x[lane] = quads[lane].y;"), "load4=1 store4=1");
    assert_eq!(once("words[lane] = words[0];"), "load8=1 store8=1");
    assert_eq!(once("triples[lane] = triples[0];"), "load12=1 store12=1");
    assert_eq!(once("let pair = pairs[lane]; x[0] = pair.b;"), "load4=1 load16=1 store4=1");
    assert_eq!(once("tile[lane] = tile[0]; tile[1].x = tile[2].y;"), "shared-loads=2 shared-stores=2");
    assert_eq!(once("x[params.n] = 0.0;"), "store4=1");
    assert_eq!(once("atomicAdd(&counter, 1u);"), "atomics=1");
    assert_eq!(once("workgroupBarrier(); storageBarrier();"), "barriers=2");
    assert_eq!(once("x[workgroupUniformLoad(&flag)] = 1.0;"), "barriers=2 store4=1 shared-loads=1");
}

#[test]
fn operations_are_counted_by_component() {
    assert_eq!(once("let a = x[0]; x[1] = a * a + a;"), "load4=1 store4=1 flops=2");
    assert_eq!(once("let a = x[0]; x[1] = fma(a, a, a);"), "load4=1 store4=1 flops=2");
    assert_eq!(once("let a = quads[0]; quads[1] = fma(a, a, a) + exp(a);"), "load16=1 store16=1 flops=16");
    assert_eq!(once("let a = quads[0]; x[1] = dot(a, a);"), "load16=1 store4=1 flops=7");
    assert_eq!(once("let a = x[0]; x[1] = select(-a, a, a > 0.0);"), "load4=1 store4=1");
    assert_eq!(once("let a = quads[0]; quads[0] = mat2x4<f32>(a, a) * a.xy;"), "load16=1 store16=1 flops=12");
    let ints = cost("words[0].x = (lane * 3u + 1u) >> 2u;").once;
    assert_eq!(ints.get(Count::Ints), 3);
    let packed = cost("let a = words[0]; words[1].x = u32(dot4I8Packed(a.x, a.y));").once;
    assert_eq!((packed.get(Count::Ints), packed.get(Count::Flops)), (7, 0));
}

#[test]
fn constants_cost_nothing_and_decide() {
    assert_eq!(cost("if (FOUR == 4u) { x[FOUR * 2u] = 1.0; } else { quads[0] = quads[1]; }").to_string(), "store4=1");
    assert_eq!(once("x[0] = chosen(0u); x[1] = chosen(1u);"), "load4=3 store4=2 flops=1");
    assert_eq!(once("x[0] = chosen(lane);"), "load4=2 store4=1 flops=1");
    assert_eq!(once("if (lane > params.n) { return; } x[0] = x[1];"), "load4=1 store4=1");
    assert_eq!(once("if (lane > params.n) { x[0] = x[1]; } else { quads[0] = quads[1]; return; } x[2] = 1.0;"), {
        "load4=1 load16=1 store4=2 store16=1"
    });
    // Either arm may be taken: of each count the larger.
    assert_eq!(once("if (lane == 0u) { x[0] = x[1] + x[2]; } else { quads[0] = x[1] * quads[1]; }"), {
        "load4=2 load16=1 store4=1 store16=1 flops=4"
    });
    assert_eq!(once("switch FOUR { case 4u: { x[0] = x[1]; } default: { quads[0] = quads[1]; } }"), "load4=1 store4=1");
    let either = "switch lane { case 4u, 5u: { x[0] = x[1]; } default: { quads[0] = quads[1]; } }";
    assert_eq!(once(either), "load4=1 load16=1 store4=1 store16=1");
    assert_eq!(once("var i = FOUR; i *= 2u; if (i == 8u) { x[0] = 1.0; } if (i > 8u) { x[0] = x[1]; }"), "store4=1");
    // After a branch a variable is known where both ways leave it the same; a pointer may change it.
    assert_eq!(once("var i = 1u; if (lane > 2u) { i = 2u; } if (i == 2u) { x[0] = x[1]; }"), "load4=1 store4=1");
    assert_eq!(once("var i = 1u; change(&i); if (i == 2u) { x[0] = x[1]; }"), "load4=1 store4=1");
}

#[test]
fn loops_of_known_bounds_are_multiplied() {
    assert_eq!(once("for (var i = 0u; i < FOUR; i++) { x[i] = 1.0; }"), "store4=4");
    assert_eq!(once("for (var i = 64u; i > 1u; i /= 2u) { workgroupBarrier(); }"), "barriers=6");
    assert_eq!(once("for (var i = FOUR; i < 4u; i++) { x[i] = 1.0; }"), "");
    assert_eq!(once("for (var i = -2; i <= 2; i += 2) { for (var j = 0u; j < 5u; j++) { x[j] = 1.0; } }"), "store4=15");
    assert_eq!(once("x[0] = powers(3u) + powers(5u);"), "load4=8 store4=1 flops=9");
    // One that a break may end sooner is counted to its end.
    assert_eq!(once("for (var i = 0u; i < 4u; i++) { if (x[i] > 0.0) { break; } }"), "load4=4");
}

#[test]
fn loops_of_unknown_bounds_are_counted_apart() {
    let strided = cost("var sum = 0.0; for (var i = lane; i < params.n; i += 64u) { sum += x[i]; } x[0] = sum;");
    assert_eq!((floats(&strided), strided.loops), ("load4=0+1 store4=1 flops=0+1".into(), 1));
    let nested = cost(
        "for (var i = 0u; i < params.n; i++) { x[i] = 1.0; for (var j = 0u; j < 3u; j++) { quads[j] = quads[0]; }
             for (var k = i; k < params.n; k++) { x[k] *= 2.0; } }",
    );
    assert_eq!((floats(&nested), nested.loops), ("load4=0+1 load16=0+3 store4=0+2 store16=0+3 flops=0+1".into(), 2));
    // Three loops, of which each makes one iteration.
    let thrice = cost("for (var j = 0u; j < 3u; j++) { for (var k = 0u; k < params.n; k++) { x[k] = 1.0; } }");
    assert_eq!((floats(&thrice), thrice.loops), ("store4=0+3".into(), 3));
    // The body changes what the condition hangs on; there is no condition at the beginning; the end is far.
    let bodies = [
        "for (var i = 0u; i < 4u; i++) { if (lane == 1u) { i += 1u; } }",
        "var i = 0u; loop { i++; if (i == 4u) { break; } }",
        "for (var i = 0u; i < 1000000u; i++) { x[i] = 1.0; }",
    ];
    assert_eq!(bodies.map(|body| cost(body).loops), [1; 3]);
}

#[test]
fn features_come_from_what_is_used() {
    let features = |source: &str| {
        let shader = Shader::parse("test", source).unwrap_or_else(|e| panic!("{e}"));
        (shader.features().iter().copied().collect::<Vec<_>>(), shader.cost().once.get(Count::Subgroup))
    };
    let main = "@compute @workgroup_size(8) fn main() {";
    let x = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;";
    assert_eq!(features(&format!("{x} {main} x[0] = subgroupAdd(x[0]); }}")), (vec![Feature::Subgroups], 1));
    assert_eq!(features(&format!("enable f16; {x} {main} x[0] = f32(f16(x[0])); }}")), (vec![Feature::F16], 0));
    assert_eq!(features(&format!("{x} {main} x[0] = f32(dot4I8Packed(1u, u32(x[0]))); }}")), (vec![Feature::PackedDot], 0));
    assert_eq!(features(&format!("{x} {main} x[0] = unpack2x16float(u32(x[0])).y; }}")), (vec![], 0));
    // A function that nothing calls has its features, too.
    assert_eq!(features(&format!("fn unused(a: i64) -> i64 {{ return a; }} {main} }}")), (vec![Feature::I64], 0));
}

#[test]
fn halves_are_translated_where_the_language_has_them() {
    let source = "enable f16; @group(0) @binding(0) var<storage, read_write> x: array<f16>;
        @compute @workgroup_size(8) fn main() { x[0] = x[1] * 2.0h; }";
    let shader = Shader::parse("halves", source).unwrap();
    assert_eq!(shader.cost().to_string(), "load2=1 store2=1 flops=1");
    for target in Target::ALL {
        let translated = shader.translate(target);
        assert_eq!(translated.is_err(), target.lacks(Feature::F16).is_some(), "{}: {:?}", target.name(), translated.err());
    }
}

#[test]
fn cooperative_matrices_are_counted_by_the_operation() {
    let source = "enable wgpu_cooperative_matrix;
        @group(0) @binding(0) var<storage, read_write> x: array<f32>;
        @compute @workgroup_size(32) fn main() {
            let a = coopLoad<coop_mat8x8<f32, A>>(&x[0]);
            let b = coopLoad<coop_mat8x8<f32, B>>(&x[64]);
            let c = coopLoad<coop_mat8x8<f32, C>>(&x[128]);
            coopStore(coopMultiplyAdd(a, b, c), &x[128]);
        }";
    let shader = Shader::parse("matrices", source).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shader.features().iter().copied().collect::<Vec<_>>(), [Feature::CooperativeMatrix]);
    assert_eq!(shader.cost().to_string(), "matrix=5");
    for target in Target::ALL {
        let translated = shader.translate(target);
        let lacks = target.lacks(Feature::CooperativeMatrix);
        assert_eq!(translated.is_err(), lacks.is_some(), "{}: {:?}", target.name(), translated.err());
    }
}

#[test]
fn sizes_are_those_of_what_the_entry_point_reaches() {
    let shader = shader("tile[lane] = quads[0]; x[0] = 1.0; flag = 1u;");
    assert_eq!((shader.workgroup_bytes(), shader.storage_buffers(), shader.workgroup_size()), (20 * 16 + 16, 2, [64, 1, 1]));
    assert_eq!(self::shader("x[0] = 1.0;").workgroup_bytes(), 0);
}
