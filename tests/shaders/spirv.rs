//! The SPIR-V of every variant, held against the specification by Khronos' `spirv-val`.

use std::io::Write;
use std::process::{Command, Stdio};

use rayon::prelude::*;
use wavelane::gate::{Feature, Report, Shader, Target};
use wavelane::kernel::linker;

use crate::{REPORTS, none};

/// What `spirv-val` says against a module; it reads from standard input.
fn verdict(module: &[u8]) -> Option<String> {
    let command = Command::new("spirv-val")
        .args(["--target-env", "vulkan1.1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = command.unwrap_or_else(|e| panic!("spirv-val: {e}"));
    // It may end before it has read everything; then it says why.
    let _ = child.stdin.take().unwrap().write_all(module);
    let output = child.wait_with_output().unwrap();
    let said = || [output.stdout.clone(), output.stderr.clone()].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&said()).into_owned())
}

fn spirv(report: &Report) -> Vec<u8> {
    let source = linker::link(&report.variant.kernel).unwrap();
    Shader::parse(&report.name, &source).and_then(|shader| shader.translate(Target::Spirv)).unwrap_or_else(|e| panic!("{e}"))
}

/// Whether a spirv-val that prints `version` knows SPV_KHR_cooperative_matrix, as SPIRV-Tools do from v2023.3 on.
fn knows_matrices(version: &str) -> bool {
    let words = version.split_whitespace().filter_map(|word| word.strip_prefix('v')?.split_once('.'));
    let number = |text: &str| text.parse::<u32>().ok();
    let mut found = words.filter_map(|(year, release)| Some((number(year)?, number(release)?)));
    found.next().is_some_and(|version| version >= (2023, 3))
}

#[test]
fn spirv_val_accepts_every_variant() {
    let Ok(version) = Command::new("spirv-val").arg("--version").output() else {
        let absent = "spirv-val is absent; Debian's package spirv-tools has it";
        assert!(std::env::var_os("WAVELANE_REQUIRE_SPIRV_VAL").is_none(), "{absent}");
        eprintln!("skipped: {absent}");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(verdict(b"nonsense").is_some(), "spirv-val accepts anything");
    let has_matrices = |report: &&Report| report.features.contains(&Feature::CooperativeMatrix);
    let unheard = if knows_matrices(&version) { 0 } else { REPORTS.iter().filter(has_matrices).count() };
    if unheard > 0 {
        eprintln!("skipped: {unheard} variants with cooperative matrices, which this spirv-val does not know: {version}");
    }
    let refused = |report: &Report| verdict(&spirv(report)).map(|why| format!("{}: {why}", report.name));
    let held = REPORTS.par_iter().filter(|report| unheard == 0 || !has_matrices(report));
    none(&held.filter_map(refused).collect::<Vec<_>>(), "");
}

#[test]
fn versions_of_spirv_val_are_told_apart() {
    assert!(!knows_matrices("SPIRV-Tools v2023.1 unknown hash, 2023-02-15"));
    assert!(knows_matrices("SPIRV-Tools v2023.3 v2023.3") && knows_matrices("SPIRV-Tools v2025.1"));
    assert!(!knows_matrices("nonsense"));
}
