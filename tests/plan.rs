//! Graphs, passes, plans and linking, without a device.

use std::sync::Arc;

use wavelane::dtype::DType;
use wavelane::error::Error;
use wavelane::graph::{Graph, GraphBuilder, Node, Origin, ValueId, interpreter, verify};
use wavelane::kernel::caps::{Cooperative, Width};
use wavelane::kernel::expr::Function;
use wavelane::kernel::{Caps, Expr, Kernel, linker};
use wavelane::ops::{Attention, Elementwise, MatMul, Op, RmsNorm};
use wavelane::plan::{self, Place, passes};
use wavelane::shape::{Dim, Symbols};
use wavelane::tensor::{Tensor, Weight};

fn matrix(n: usize, k: usize) -> Weight {
    let values: Vec<f32> = (0..n * k).map(|i| (i * 7 % 23) as f32 * 0.05 - 0.5).collect();
    Weight::from_f32(&[n, k], &values).unwrap()
}

/// A gated feed-forward block with a residual: `x + down(silu(gate x) * up x)`.
fn block() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", DType::F32, [Dim::sym("T"), 8.into()]);
    let [gate, up] = ["gate", "up"].map(|name| {
        let w = b.weight(format!("{name}.weight"), matrix(12, 8));
        b.one(name, MatMul::plain(), &[x, w]).unwrap()
    });
    let act = b.one("act", Elementwise::gated(Function::Silu), &[gate, up]).unwrap();
    let down = b.weight("down.weight", matrix(8, 12));
    let down = b.one("down", MatMul::plain(), &[act, down]).unwrap();
    let out = b.one("residual", Elementwise::add(), &[down, x]).unwrap();
    // Nobody reads this one.
    let gain = b.weight("gain", Weight::from_f32(&[8], &[1.0; 8]).unwrap());
    b.one("unread", RmsNorm { epsilon: 1e-5 }, &[x, gain]).unwrap();
    b.output(out);
    b.finish().unwrap()
}

fn tokens(n: usize) -> Symbols {
    Symbols::from([("T".into(), n)])
}

#[test]
fn elementwise_nodes_become_tails_and_dead_code_goes() {
    let before = block();
    let (after, report) = passes::optimize(before.clone()).unwrap();
    let changed = |name| report.iter().find(|(n, _)| *n == name).map(|(_, n)| *n);
    assert_eq!(changed("remove-dead-code"), Some(1));
    assert_eq!(changed("fuse-tails"), Some(2));
    assert_eq!(after.nodes.len(), 3);
    assert!(after.nodes.iter().all(|n| matches!(n.op, Op::MatMul(_))));
    let x = || vec![Tensor::f32(&[3, 8], (0..24).map(|i| i as f32 * 0.1 - 1.0).collect()).unwrap()];
    let run = |g: &Graph| interpreter::run(g, &tokens(3), x(), &mut interpreter::States::default()).unwrap();
    assert_eq!(run(&before), run(&after), "fusing changes no bit of the reference");
}

#[test]
fn a_product_that_two_nodes_read_keeps_its_value() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", DType::F32, &[2, 8][..]);
    let w = b.weight("w", matrix(8, 8));
    let y = b.one("y", MatMul::plain(), &[x, w]).unwrap();
    let z = b.one("z", Elementwise::add(), &[y, x]).unwrap();
    b.output(y);
    b.output(z);
    let (graph, report) = passes::optimize(b.finish().unwrap()).unwrap();
    assert!(report.contains(&("fuse-tails", 0)));
    assert_eq!(graph.nodes.len(), 2);
}

#[test]
fn a_part_of_a_graph_computes_only_what_is_asked_for() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", DType::F32, &[2, 8][..]);
    for name in ["a", "b"] {
        let w = b.weight(format!("{name}.weight"), matrix(8, 8));
        let y = b.one(name, MatMul::plain(), &[x, w]).unwrap();
        b.output(y);
    }
    let graph = b.finish().unwrap();
    let part = passes::restrict(&graph, &[1]).unwrap();
    assert_eq!(part.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["b"]);
    let plan = plan::compile(&part, &Symbols::new(), &Caps::plain()).unwrap();
    let place = |name: &str| &plan.values[graph.find(name).unwrap().0].place;
    assert_eq!(place("a.weight"), &Place::Unused);
    assert!(matches!(place("b.weight"), Place::Weight { chunks, dense: false } if chunks.len() == 1 && chunks[0] == (0..8)));
    assert!(matches!(passes::restrict(&graph, &[2]), Err(Error::Request(_))));
}

#[test]
fn plans_are_plain_values() {
    let (graph, _) = passes::optimize(block()).unwrap();
    let compile = |n| plan::compile(&graph, &tokens(n), &Caps::plain()).unwrap();
    assert_eq!(compile(5), compile(5));
    assert_ne!(compile(5), compile(6));
    let text = compile(5).to_string();
    for part in ["plan for T=5", "MatMul 'down + residual'", "tail=(x0 + x1)", "arena "] {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
    let stored = serde_json::to_string(&compile(5)).unwrap();
    assert_eq!(serde_json::from_str::<plan::Plan>(&stored).unwrap(), compile(5));
}

#[test]
fn what_does_not_fit_is_named() {
    let (graph, _) = passes::optimize(block()).unwrap();
    let refused = |symbols: &Symbols, caps: &Caps| plan::compile(&graph, symbols, caps).unwrap_err().to_string();
    assert!(refused(&Symbols::new(), &Caps::plain()).contains("'T'"));
    assert!(refused(&tokens(0), &Caps::plain()).contains("no elements"));
    assert!(refused(&tokens(usize::MAX / 4), &Caps::plain()).contains("address"));
    let small = Caps { max_binding: 1 << 10, ..Caps::plain() };
    let text = refused(&tokens(100), &small);
    assert!(text.contains("'x'") && text.contains("3200 bytes") && text.contains("1024"), "{text}");
    let tiny = Caps { max_binding: 64, ..Caps::plain() };
    assert!(refused(&tokens(1), &tiny).contains("a row of 'gate.weight'"));
    let arena = Caps { max_buffer: 512, ..Caps::plain() };
    assert!(refused(&tokens(16), &arena).contains("activations"));
}

#[test]
fn the_verifier_refuses_broken_graphs() {
    let sound = block();
    let broken = |change: fn(&mut Graph)| {
        let mut graph = sound.clone();
        change(&mut graph);
        verify::verify(&graph, "test").expect_err("a broken graph passed").to_string()
    };
    assert!(verify::verify(&sound, "test").is_ok());
    assert!(broken(|g| g.nodes.reverse()).contains("before it is computed"));
    assert!(broken(|g| g.nodes[2].inputs[0] = ValueId(999)).contains("does not exist"));
    assert!(broken(|g| g.nodes[1].outputs = g.nodes[0].outputs.clone()).contains("another producer"));
    assert!(broken(|g| g.values[g.nodes[0].outputs[0].0].ty.dtype = DType::U32).contains("computes f32"));
    assert!(broken(|g| g.outputs.clear()).contains("no outputs"));
    assert!(broken(|g| drop(g.nodes.remove(4))).contains("never computed"));
    assert!(broken(|g| g.values[0].ty.shape.0[1] = Dim::Const(0)).contains("no elements"));
    // A cycle: the first node reads what the last computes.
    assert!(broken(|g| g.nodes[0].inputs[0] = g.nodes[4].outputs[0]).contains("before it is computed"));
    assert!(
        broken(|g| {
            let node: Node = g.nodes[0].clone();
            g.nodes.push(node);
        })
        .contains("another producer")
    );
    assert!(matches!(sound.value(ValueId(0)).origin, Origin::Input));
}

#[test]
fn operands_that_do_not_fit_name_their_node() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", DType::F32, &[2, 8][..]);
    let w = b.weight("w", matrix(4, 6));
    let error = b.one("blk.3.attn_q", MatMul::plain(), &[x, w]).unwrap_err().to_string();
    assert!(error.contains("MatMul 'blk.3.attn_q'") && error.contains("f32[2, 8]") && error.contains("f32[4, 6]"), "{error}");
}

#[test]
fn inputs_are_checked_before_a_run() {
    let graph = Arc::new(block());
    let run = |inputs| interpreter::run(&graph, &tokens(3), inputs, &mut interpreter::States::default()).unwrap_err().to_string();
    assert!(run(vec![]).contains("takes 1 inputs, got 0"));
    assert!(run(vec![Tensor::f32(&[2, 8], vec![0.0; 16]).unwrap()]).contains("input 'x'"));
    assert!(run(vec![Tensor::u32(&[3, 8], vec![0; 24]).unwrap()]).contains("input 'x'"));
    assert!(Tensor::f32(&[3, 8], vec![0.0; 23]).is_err());
}

#[test]
fn linking_finds_libraries_and_refuses_doubles() {
    let kernel = Kernel::new("mat_vec").tail(Expr::call(Function::Silu, Expr::operand(0)).into());
    let text = linker::link(&kernel).unwrap();
    for part in ["fn silu(", "fn tail(x0: f32, index: u32, channel: u32) -> Value", "return silu(x0);"] {
        assert!(text.contains(part), "no '{part}'");
    }
    assert!(!text.contains("fn order_key(") && !text.contains("fn gelu_tanh("), "what is not called stays out");
    let double = Kernel::new("embed").provider("load/f32").provider("load/f16");
    assert!(linker::link(&double).unwrap_err().to_string().contains("'WeightGroup' of 'load/f16' is defined twice"));
    assert!(linker::link(&Kernel::new("nothing")).unwrap_err().to_string().contains("no shader file 'nothing'"));
}

/// Attention of `tokens` tokens to a cache of `blocks` pages of 64 positions.
/// The kernels of a gated unit behind a norm, for that many tokens.
fn gated_kernels(tokens: usize, half: bool, caps: &Caps) -> Vec<String> {
    let mut b = GraphBuilder::new();
    let x = b.input("x", DType::F32, &[tokens, 64][..]);
    let (weight, gain) = (b.weight("w", matrix(24, 64)), b.weight("gain", Weight::from_f32(&[64], &[1.0; 64]).unwrap()));
    let tail = Expr::product(Expr::call(Function::Silu, Expr::operand(0)), Expr::operand(1));
    let op = MatMul { norm: Some(RmsNorm { epsilon: 1e-5 }), paired: true, half, tail };
    let out = b.one("unit", op, &[x, weight, gain]).unwrap();
    b.output(out);
    let plan = plan::compile(&b.finish().unwrap(), &Symbols::new(), caps).unwrap();
    plan.dispatches().map(|d| d.kernel.shader.to_string()).collect()
}

#[test]
fn norms_and_pairs_take_no_dispatch_of_their_own_where_a_kernel_has_them() {
    let wide = |tokens| gated_kernels(tokens, false, &Caps::plain());
    assert_eq!(wide(1), ["mat_vec"]);
    assert_eq!(wide(5), ["rms_norm", "mat_vec_few"]);
    assert_eq!(wide(70), ["rms_norm", "mat_mul"]);
    let narrow = |tokens| gated_kernels(tokens, false, &Caps { width: Width::Narrow, ..Caps::plain() });
    assert_eq!(narrow(1), ["mat_vec_rows"]);
    assert_eq!(narrow(5), ["rms_norm", "mat_mul_rows", "mat_mul_pairs"]);
}

#[test]
fn matrices_of_subgroups_are_used_only_where_they_are_known_to_fit() {
    let kernel = |half, subgroup, cooperative| {
        let caps = Caps { half: true, subgroup, cooperative, ..Caps::plain() };
        gated_kernels(70, half, &caps).pop().unwrap()
    };
    let [half, float] = [Cooperative { half: Some(16), float: None }, Cooperative { half: None, float: Some(8) }];
    assert_eq!(kernel(true, Some((32, 64)), half), "mat_mul_cooperative");
    // Rounding to f16 is asked for or not done.
    assert_eq!(kernel(false, Some((32, 64)), half), "mat_mul");
    assert_eq!(kernel(false, Some((32, 32)), float), "mat_mul_cooperative");
    // Workgroup memory is laid out for two to four subgroups.
    assert_eq!(kernel(true, Some((8, 32)), half), "mat_mul");
    assert_eq!(kernel(true, Some((64, 128)), half), "mat_mul");
    assert_eq!(kernel(true, None, half), "mat_mul");
}

fn attention_plan(tokens: usize, blocks: usize) -> plan::Plan {
    let mut b = GraphBuilder::new();
    let q = b.input("q", DType::F32, &[tokens, 8 * 64][..]);
    let [k, v] = ["k", "v"].map(|name| b.state(name, DType::F16, &[blocks, 2, 64, 64][..]));
    let [slots, positions] = ["slots", "positions"].map(|name| b.input(name, DType::U32, &[tokens][..]));
    let table = b.input("blocks", DType::U32, &[1, blocks][..]);
    let op = Attention { heads: 8, kv_heads: 2, head_dim: 64, scale: 0.125, half: false };
    let out = b.one("attention", op, &[q, k, v, slots, positions, table]).unwrap();
    b.output(out);
    plan::compile(&b.finish().unwrap(), &Symbols::new(), &Caps::plain()).unwrap()
}

#[test]
fn a_long_context_is_shared_out_where_a_step_is_small() {
    let kernels = |tokens, blocks| {
        let plan = attention_plan(tokens, blocks);
        plan.dispatches().map(|d| (d.kernel.shader.to_string(), d.grid)).collect::<Vec<_>>()
    };
    let combine = |x| ("attention_combine".into(), [x, 1, 1]);
    // Tiles of 32 positions for one token, and as many parts as there are tiles, up to 64.
    assert_eq!(kernels(1, 2), [("attention_few".into(), [2, 1, 4]), combine(2)]);
    assert_eq!(kernels(1, 64), [("attention_few".into(), [2, 1, 64]), combine(2)]);
    // Tiles of 64 rows, four of each token; a long prompt keeps a GPU busy without parts.
    assert_eq!(kernels(16, 64), [("attention_tiles".into(), [1, 2, 64]), combine(32)]);
    assert_eq!(kernels(512, 64), [("attention_tiles".into(), [32, 2, 4]), combine(1024)]);
    assert_eq!(kernels(4096, 64), [("attention_tiles".into(), [256, 2, 1])]);
}
