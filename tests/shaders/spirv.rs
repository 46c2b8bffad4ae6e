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

#[test]
fn spirv_val_accepts_every_variant() {
    if Command::new("spirv-val").arg("--version").output().is_err() {
        let absent = "spirv-val is absent; Debian's package spirv-tools has it";
        assert!(std::env::var_os("WAVELANE_REQUIRE_SPIRV_VAL").is_none(), "{absent}");
        eprintln!("skipped: {absent}");
        return;
    }
    assert!(verdict(b"nonsense").is_some(), "spirv-val accepts anything");
    // Cooperative matrices came to SPIR-V after the spirv-val that stable distributions bring.
    let known = |report: &&Report| !report.features.contains(&Feature::CooperativeMatrix);
    let refused = |report: &Report| verdict(&spirv(report)).map(|why| format!("{}: {why}", report.name));
    none(&REPORTS.par_iter().filter(known).filter_map(refused).collect::<Vec<_>>(), "");
}
