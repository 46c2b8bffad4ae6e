//! Kernels for matrices that subgroups multiply together, which no software device has: here the few built-in functions for them are
//! written out, so that all the rest is what a GPU would run.

use wavelane::dtype::DType;
use wavelane::gpu::Gpu;
use wavelane::kernel::caps::{Cooperative, Width};
use wavelane::kernel::{Kernel, linker};
use wavelane::ops::{Attention, MatMul};

use crate::attention::attend_on;
use crate::harness::{Case, devices, input, run, weight};

/// In the place of functions of `cooperative.wgsl`. Each invocation of a subgroup has PER elements of a matrix of sums, so many
/// apart as there are invocations, the rows of a left operand for them, and looks right operands up in the tile when it multiplies.
const EMULATED: &str = "
const PER: u32 = SIZE * SIZE / SUBGROUP;
alias Left = array<f32, PER * SIZE>;
alias Block = array<f32, PER>;

struct Right {
    at: u32,
    down: u32,
    across: u32,
}

var<private> own: u32;

fn subgroup_of(subgroup: u32, lane: u32) -> u32 {
    own = lane % SUBGROUP;
    return lane / SUBGROUP;
}

fn row_of_element(i: u32) -> u32 {
    return (own + i * SUBGROUP) / SIZE;
}

fn column_of_element(i: u32) -> u32 {
    return (own + i * SUBGROUP) % SIZE;
}

fn load_left(at: u32, stride: u32) -> Left {
    var left: Left;
    for (var i = 0u; i < PER * SIZE; i++) {
        left[i] = f32(left_tile[at + row_of_element(i / SIZE) * stride + i % SIZE]);
    }
    return left;
}

fn load_right(at: u32, stride: u32) -> Right {
    return Right(at, 1u, stride);
}

fn load_right_rows(at: u32, stride: u32) -> Right {
    return Right(at, stride, 1u);
}

fn load_block(at: u32, stride: u32) -> Block {
    var block: Block;
    for (var i = 0u; i < PER; i++) {
        block[i] = blocks_tile[at + row_of_element(i) * stride + column_of_element(i)];
    }
    return block;
}

fn store_block(block: Block, at: u32, stride: u32) {
    var sums = block;
    for (var i = 0u; i < PER; i++) {
        blocks_tile[at + row_of_element(i) * stride + column_of_element(i)] = sums[i];
    }
}

fn multiply_matrices(left: Left, right: Right, block: Block) -> Block {
    var rows = left;
    var sums = block;
    for (var i = 0u; i < PER; i++) {
        let column = right.at + column_of_element(i) * right.across;
        var sum = sums[i];
        for (var d = 0u; d < SIZE; d++) {
            sum = fma(rows[i * SIZE + d], f32(right_tile[column + d * right.down]), sum);
        }
        sums[i] = sum;
    }
    return sums;
}
";

/// What is replaced: the functions that stand in both.
fn functions() -> Vec<&'static str> {
    let names = |text: &'static str| text.lines().filter_map(|line| line.strip_prefix("fn ")?.split('(').next());
    let library: Vec<&str> = names(linker::file("cooperative").unwrap()).collect();
    names(EMULATED).filter(|name| library.contains(name)).collect()
}

/// A kernel's text with every built-in function for matrices replaced, for subgroups of that size.
fn emulated(kernel: &Kernel, source: String, subgroup: u32) -> String {
    if !kernel.shader.ends_with("_cooperative") {
        return source;
    }
    let ours = |item: &&str| functions().iter().any(|name| item.contains(&format!("fn {name}(")));
    let kept: Vec<&str> = source.split_inclusive("\n}\n").filter(|item| !ours(item)).collect();
    let matrices = |line: &&str| line.contains("coop_mat") || line.contains("enable wgpu_cooperative_matrix");
    let lines: Vec<&str> = kept.iter().flat_map(|item| item.lines()).filter(|line| !matrices(line)).collect();
    format!("{}\nconst SUBGROUP: u32 = {subgroup}u;\n{EMULATED}", lines.join("\n"))
}

/// What the devices would be with such matrices: of every kind, and with as many subgroups as kernels are made for.
fn with_matrices(gpu: &Gpu) -> Vec<Gpu> {
    let kinds = [
        (32, (32, 32), Cooperative { half: None, float: Some(8) }),
        (64, (64, 64), Cooperative { half: Some(8), float: None }),
        (32, (32, 32), Cooperative { half: Some(16), float: None }),
        // Surplus ones.
        (32, (32, 64), Cooperative { half: Some(16), float: None }),
    ];
    let fits = |(_, _, kind): &&(u32, (u32, u32), Cooperative)| kind.half.is_none() || gpu.info().caps.half;
    let device = |(subgroup, sizes, cooperative): &(u32, (u32, u32), Cooperative)| {
        let gpu = gpu.with_caps(|caps| (caps.width, caps.subgroup, caps.cooperative) = (Width::Wide, Some(*sizes), *cooperative));
        let subgroup = *subgroup;
        gpu.with_fault(move |kernel, source| emulated(kernel, source, subgroup))
    };
    kinds.iter().filter(fits).map(device).collect()
}

/// Runs a case on every such device and demands that it was by matrices.
fn check(cases: &[Case], shader: &str) {
    let mut devices_with_half = 0;
    for gpu in devices().iter().flat_map(with_matrices) {
        devices_with_half += usize::from(gpu.info().caps.cooperative.half.is_some());
        for case in cases {
            let plan = run(&gpu, case).unwrap_or_else(|e| panic!("{}, {:?}: {e}", case.name, gpu.info().caps));
            assert!(plan.dispatches().any(|d| d.kernel.shader == shader), "{} ran otherwise", case.name);
        }
    }
    assert!(devices_with_half > 0, "nothing ran in f16");
}

#[test]
fn products_by_matrices_match_the_reference() {
    let case = |dtype, tokens: usize, rows: usize, columns: usize| {
        let op = MatMul { half: true, ..MatMul::plain() };
        Case::new(
            format!("{dtype} {tokens} x {rows} x {columns}"),
            op,
            vec![input(&[tokens, columns], 1), weight(dtype, rows, columns, 2)],
        )
    };
    check(&[case(DType::F32, 67, 131, 33), case(DType::Q8_0, 64, 65, 96)], "mat_mul_cooperative");
}

#[test]
fn attention_by_matrices_matches_the_reference() {
    for gpu in devices().iter().flat_map(with_matrices) {
        for (heads, kv_heads, head_dim, dtype, long) in [(2, 1, 64, DType::F16, 70), (3, 1, 24, DType::F32, 41)] {
            let op = Attention { heads, kv_heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt(), half: true };
            let plans = attend_on(&gpu, op, dtype, long);
            assert!(plans.iter().any(|p| p.dispatches().any(|d| d.kernel.shader == "attention_cooperative")), "it ran otherwise");
        }
    }
}
