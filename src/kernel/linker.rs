//! Makes one WGSL module of a kernel: generated prelude, shader file, provider files, generated tail.
//!
//! WGSL lets a module's declarations stand in any order, so linking is joining texts: the shader file calls functions
//! that it does not define, the kernel names the provider files that define them, and functions and structures of the
//! `LIBRARY` files come in one by one where they are used. Two files that define one name are refused; that nothing
//! is missing is seen when the module is validated, which a test does for every kernel that can be planned.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Kernel;
use crate::error::{Error, Result};

macro_rules! shader_files {
    ($($stem:literal),* $(,)?) => {
        &[$(($stem, include_str!(concat!("../../shaders/", $stem, ".wgsl")))),*]
    };
}

/// Every shader file that ops are lowered to, by its stem.
pub const FILES: &[(&str, &str)] = shader_files![
    "arg_max",
    "arg_reduce",
    "attention",
    "attention/part",
    "attention/turns",
    "attention/whole",
    "attention_combine",
    "attention_cooperative",
    "attention_few",
    "attention_lanes",
    "attention_rows",
    "attention_tiles",
    "batch_mat_mul",
    "batch_mat_mul_combine",
    "batch_mat_mul_eights",
    "batch_mat_mul_few",
    "batch_mat_mul_parts",
    "batch_mat_mul_rows",
    "batch_mat_vec",
    "byte_mat_mul",
    "byte_mat_mul_few",
    "byte_mat_mul_rows",
    "byte_windows",
    "bytes/of_floats",
    "bytes/of_integers",
    "bytes/operands",
    "bytes/rows",
    "bytes/rows_broadcast",
    "cache_write",
    "col2im",
    "columns",
    "combine",
    "concat",
    "concat_quads",
    "conv",
    "conv/f32",
    "conv/i32",
    "conv/inside_each",
    "conv/inside_kept",
    "conv/pointwise",
    "conv/pointwise_scalars",
    "conv/runs_quads",
    "conv/runs_scalars",
    "conv/store_quads",
    "conv/store_scalars",
    "conv/tiles_by_tap",
    "conv/tiles_flat",
    "conv/tiles_pointwise",
    "conv/weight_quads",
    "conv/weight_scalars",
    "conv/weight_whole",
    "conv/window",
    "conv/window_quads",
    "conv/window_taps",
    "conv_3x3_rows",
    "conv_depthwise",
    "conv_depthwise_3x3",
    "conv_rows",
    "conv_tiles",
    "conv_transpose",
    "conv_windows",
    "conv_winograd",
    "cooperative",
    "cooperative/float_8",
    "cooperative/half_16",
    "cooperative/half_8",
    "cumulative",
    "deform_columns",
    "dense_attention",
    "dense_attention/operands",
    "dense_attention/quads",
    "dense_attention/scalars",
    "dense_attention_rows",
    "determinant",
    "elementwise",
    "elementwise_eights",
    "elementwise_quads",
    "embed",
    "fold",
    "functions",
    "gather",
    "gather_elements",
    "gather_nd",
    "gather_rows",
    "grid_sample",
    "index",
    "linear",
    "load/bf16",
    "load/bits",
    "load/cache_f16",
    "load/cache_f32",
    "load/cache_pairs_f16",
    "load/cache_pairs_f32",
    "load/f16",
    "load/f32",
    "load/groups",
    "load/iq4_nl",
    "load/long",
    "load/long/cache_f16",
    "load/long/cache_f32",
    "load/long/f32",
    "load/long/q4_0",
    "load/long/q4_1",
    "load/long/q4_k",
    "load/long/q8_0",
    "load/long/x",
    "load/long/x_normed",
    "load/pairs",
    "load/q2_k",
    "load/q3_k",
    "load/q4_0",
    "load/q4_1",
    "load/q4_k",
    "load/q5_0",
    "load/q5_1",
    "load/q5_k",
    "load/q6_k",
    "load/q8_0",
    "load/quads",
    "load/x_broadcast",
    "load/x_broadcast_normed",
    "load/x_bytes",
    "load/x_quads",
    "load/x_quads_normed",
    "load/x_scalars",
    "mat_mul",
    "mat_mul_cooperative",
    "mat_mul_decode",
    "mat_mul_pairs",
    "mat_mul_rows",
    "mat_vec",
    "mat_vec/paired",
    "mat_vec/single",
    "mat_vec_few",
    "mat_vec_pairs",
    "mat_vec_rows",
    "nll",
    "normalize",
    "order",
    "pack_bytes",
    "places/storage",
    "places/workgroup",
    "pool/indices",
    "pool/values",
    "pool/window",
    "pool_max",
    "pool_max_runs",
    "pool_sum",
    "product/float",
    "product/half",
    "product/int",
    "product/left_quads",
    "product/left_scalars",
    "product/left_whole",
    "product/operands",
    "product/right_columns",
    "product/right_columns_whole",
    "product/right_rows",
    "product/right_rows_long",
    "product/right_rows_whole",
    "product/right_run",
    "product/right_scalars",
    "product/rows",
    "product/rows_broadcast",
    "product/scaled",
    "product/store",
    "product/tiles",
    "product/totals_float",
    "product/totals_half",
    "quantised",
    "quantize_rows",
    "quantize_rows_normed",
    "quantized_mat_mul",
    "random",
    "reduce",
    "reduce/own",
    "reduce/subgroup",
    "reduce/workgroup",
    "resample",
    "reverse_rows",
    "rms_norm",
    "roi_align",
    "rope",
    "rope_cache",
    "scatter_elements",
    "scatter_nd_mark",
    "scatter_nd_pick",
    "scatter_nd_walk",
    "softmax",
    "sums/paired",
    "sums/single",
    "top_k",
    "view",
];

/// Shader files that no op is lowered to: they measure a device (`measure::roof`).
pub const ROOFS: &[(&str, &str)] = shader_files![
    "roof/eights",
    "roof/f16",
    "roof/f32",
    "roof/quads",
    "roof_cooperative",
    "roof_copy",
    "roof_dot",
    "roof_empty",
    "roof_multiply_add",
    "roof_read",
    "roof_write",
];

/// Files whose functions and structures are linked in one by one where they are used; all others must be named by the kernel.
pub const LIBRARY: &[&str] = &[
    "linear",
    "index",
    "functions",
    "order",
    "load/quads",
    "load/bits",
    "load/long",
    "columns",
    "cooperative",
    "fold",
    "product/store",
    "quantised",
];

/// The text of the shader file with that stem.
pub fn file(stem: &str) -> Option<&'static str> {
    FILES.iter().chain(ROOFS).find(|(name, _)| *name == stem).map(|(_, text)| *text)
}

/// The WGSL text of a kernel, with the entry point `main`.
///
/// # Errors
/// [`Error::Invalid`] when a file does not exist or two files define one name.
pub fn link(kernel: &Kernel) -> Result<String> {
    let invalid = |what: String| Error::invalid(format!("kernel {kernel}"), what);
    let mut text = prelude(kernel);
    let mut defined = BTreeSet::new();
    let mut add = |stem: &str, text: &mut String| {
        let source = file(stem).ok_or_else(|| invalid(format!("there is no shader file '{stem}'")))?;
        if let Some(name) = definitions(source).find(|name| !defined.insert(*name)) {
            return Err(invalid(format!("'{name}' of '{stem}' is defined twice")));
        }
        let _ = write!(text, "\n// ---- {stem}.wgsl\n{source}");
        Ok(())
    };
    add(&kernel.shader, &mut text)?;
    for stem in &kernel.providers {
        add(stem, &mut text)?;
    }
    if let Some(tail) = kernel.tail.as_ref().filter(|_| calls(&text, "tail_four")) {
        text += &tail.wgsl_of_four();
    }
    // What comes in may call further functions, until nothing new is called.
    let mut items: Vec<&str> = LIBRARY.iter().flat_map(|stem| self::items(file(stem).unwrap_or_default())).collect();
    loop {
        let used = |item: &&str| definitions(item).any(|name| calls(&text, name));
        let Some(at) = items.iter().position(used) else { return Ok(extensions(&text) + &text) };
        let item = items.remove(at);
        if let Some(name) = definitions(item).find(|name| !defined.insert(*name)) {
            return Err(invalid(format!("'{name}' is defined twice")));
        }
        let _ = write!(text, "\n{item}");
    }
}

/// The directives that must stand before everything else, for what the text makes use of.
fn extensions(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: BTreeSet<&str> = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    let mut enabled = String::new();
    if words.contains("f16") {
        enabled += "enable f16;\n";
    }
    if words.iter().any(|word| word.starts_with("coop_mat")) {
        enabled += "enable wgpu_cooperative_matrix;\n";
    }
    enabled
}

/// The functions and structures of a library file, each with what stands before it: its comment, its constants.
fn items(source: &str) -> impl Iterator<Item = &str> {
    source.split_inclusive("\n}\n").filter(|item| definitions(item).next().is_some())
}

/// The names of the functions and structures that a shader file defines, but for what every kernel has of its own.
fn definitions(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .filter_map(|line| line.strip_prefix("fn ").or(line.strip_prefix("struct "))?.split(['(', ' ']).next())
        .filter(|name| !matches!(*name, "main" | "Params"))
}

/// Whether `name` is called somewhere in `text`.
fn calls(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        before && text[at + name.len()..].starts_with('(')
    })
}

/// Constants, and the generated tail.
fn prelude(kernel: &Kernel) -> String {
    let mut text = format!("// {kernel}\n");
    for (name, value) in &kernel.consts {
        let _ = writeln!(text, "const {name}: u32 = {value}u;");
    }
    text + &kernel.tail.as_ref().map_or(String::new(), super::Tail::wgsl)
}
