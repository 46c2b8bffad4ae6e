//! The operator tests of the ONNX project on the CPU reference and on lavapipe.
//!
//! `WAVELANE_ONNX_TESTS=DIR cargo test --release --test onnx_node -- --nocapture` runs the tests below DIR (folders with a
//! `model.onnx` and `test_data_set_*`); without it those of `tests/data/onnx/node-tests.tar.xz`. `WAVELANE_ONNX_FILTER=TEXT`
//! keeps those whose name contains TEXT. The outputs in the files are the truth.

#[path = "support/devices.rs"]
mod devices;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use wavelane::formats::ElementType;
use wavelane::formats::onnx::{Graph, Model, OnnxFile, OnnxValue, ValueKind, read_value};
use wavelane::onnx::{Array, Session};
use wavelane::session::Device;
use wavelane::tensor::Data;

/// Parts of in-scope tests that must pass.
const LEAST: f64 = 0.97;

/// Operators whose results are drawn by a generator that the standard does not fix: type and shape are compared.
const RANDOM: [&str; 6] = ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// Operators that are out of scope though their domain is the standard one: strings, images, sequences, optionals.
const OUT_OF_SCOPE: [&str; 17] = [
    "ConcatFromSequence",
    "ImageDecoder",
    "Optional",
    "OptionalGetElement",
    "OptionalHasElement",
    "RegexFullMatch",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SequenceMap",
    "SplitToSequence",
    "StringConcat",
    "StringNormalizer",
    "StringSplit",
];

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: BTreeMap<String, Vec<String>>,
}

#[test]
fn operators_agree_with_the_project_s_own_tests() {
    agree(&std::env::var_os("WAVELANE_ONNX_TESTS").map_or_else(unpacked, PathBuf::from), LEAST);
}

/// Operators of the domain `com.microsoft`, whose truth is what ONNX Runtime computed.
#[test]
fn contrib_operators_agree_with_onnxruntime() {
    agree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx/contrib"), 1.0);
}

/// Runs the tests below `root`, of which the part `least` must pass on every device.
fn agree(root: &Path, least: f64) {
    let filter = std::env::var("WAVELANE_ONNX_FILTER").unwrap_or_default();
    let mut tests = Vec::new();
    find(root, 4, &mut tests);
    tests.retain(|t| t.to_string_lossy().contains(&filter));
    tests.sort();
    assert!(!tests.is_empty() || !filter.is_empty(), "no folder with a model.onnx below {}", root.display());
    let mut devices = vec![Device::Cpu];
    devices.extend(devices::open().into_iter().filter(|gpu| gpu.info().name.contains("llvmpipe")).map(Device::Gpu));
    let mut poor = Vec::new();
    for device in &devices {
        let mut tally = Tally::default();
        for test in &tests {
            run(test, device, &mut tally);
        }
        report(device, &tally);
        let in_scope = tally.passed + tally.failed.len();
        if (tally.passed as f64) < least * in_scope as f64 {
            poor.push(format!("{}: {} of {in_scope}", device.name(), tally.passed));
        }
    }
    assert!(poor.is_empty(), "too few tests passed on {}", poor.join(", "));
}

/// Unpacks the archive into the build folder, once.
fn unpacked() -> PathBuf {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx/node-tests.tar.xz");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx-node-tests");
    let done = folder.join("unpacked");
    if !done.exists() {
        let mut tar = Vec::new();
        let file = std::fs::File::open(&archive).unwrap();
        lzma_rs::xz_decompress(&mut std::io::BufReader::new(file), &mut tar).unwrap();
        tar::Archive::new(&tar[..]).unpack(&folder).unwrap();
        std::fs::write(done, "").unwrap();
    }
    folder
}

fn find(folder: &Path, depth: usize, tests: &mut Vec<PathBuf>) {
    if folder.join("model.onnx").exists() {
        tests.push(folder.to_owned());
    } else if depth > 0 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter(|e| e.path().is_dir()).for_each(|e| find(&e.path(), depth - 1, tests));
    }
}

fn report(device: &Device, tally: &Tally) {
    for failure in &tally.failed {
        println!("[{}] FAILED {failure}", device.name());
    }
    for (reason, tests) in &tally.skipped {
        println!("[{}] skipped {} tests: {reason} ({})", device.name(), tests.len(), tests.join(", "));
    }
    let skipped: usize = tally.skipped.values().map(Vec::len).sum();
    println!("[{}] {} passed, {} failed, {skipped} skipped", device.name(), tally.passed, tally.failed.len());
}

fn run(test: &Path, device: &Device, tally: &mut Tally) {
    let name = test.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = match OnnxFile::open(&test.join("model.onnx")) {
        Ok(file) => file,
        Err(e) => return tally.failed.push(format!("{name}: {e}")),
    };
    if let Some(reason) = out_of_scope(&file.model) {
        return tally.skipped.entry(reason).or_default().push(name);
    }
    match catch_unwind(AssertUnwindSafe(|| compare(test, file.model, device))) {
        Ok(Ok(())) => tally.passed += 1,
        Ok(Err(e)) => tally.failed.push(format!("{name}: {e}")),
        Err(_) => tally.failed.push(format!("{name}: PANICKED")),
    }
}

/// Why the project does not run the test, if it does not.
fn out_of_scope(model: &Model) -> Option<String> {
    let mut operators = BTreeSet::new();
    operators_of(&model.graph, &mut operators);
    operators.extend(model.functions.iter().flat_map(|f| &f.nodes).map(|n| (n.domain.clone(), n.op_type.clone())));
    let values = model.graph.inputs.iter().chain(&model.graph.outputs);
    for value in values {
        match &value.kind {
            ValueKind::Tensor { ty: ElementType::String, .. } => return Some("strings".into()),
            ValueKind::Tensor { ty: ElementType::Complex64 | ElementType::Complex128, .. } => {
                return Some("complex numbers".into());
            }
            ValueKind::Tensor { .. } => {}
            ValueKind::Sequence(_) => return Some("sequences".into()),
            ValueKind::Optional(_) => return Some("optionals".into()),
            other => return Some(format!("{other:?}")),
        }
    }
    let foreign = operators
        .iter()
        .find(|(domain, _)| domain.starts_with("ai.onnx.") && !model.functions.iter().any(|f| f.domain == *domain));
    if let Some((domain, _)) = foreign {
        return Some(format!("the domain {domain}"));
    }
    operators.iter().find(|(_, op)| OUT_OF_SCOPE.contains(&op.as_str())).map(|(_, op)| format!("the operator {op}"))
}

fn operators_of(graph: &Graph, operators: &mut BTreeSet<(String, String)>) {
    for node in &graph.nodes {
        operators.insert((node.domain.clone(), node.op_type.clone()));
        node.attributes.values().flat_map(|a| a.graphs()).for_each(|g| operators_of(g, operators));
    }
}

fn compare(test: &Path, model: Model, device: &Device) -> Result<(), String> {
    let mut operators = BTreeSet::new();
    operators_of(&model.graph, &mut operators);
    // Dropout draws only where its third operand says that it trains.
    let training = model.graph.nodes.iter().any(|n| n.op_type == "Dropout" && n.inputs.len() == 3);
    let random = training || operators.iter().any(|(_, op)| RANDOM.contains(&op.as_str()));
    let (inputs, outputs) = (model.graph.inputs.clone(), model.graph.outputs.clone());
    let mut sets: Vec<PathBuf> = std::fs::read_dir(test).unwrap().flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    sets.sort();
    let mut session = Session::new(model, device).map_err(|e| e.to_string())?;
    for set in sets {
        let read = |kind: &str, i: usize, of: &ValueKind| -> Result<Option<Array>, String> {
            let path = set.join(format!("{kind}_{i}.pb"));
            if !path.exists() {
                return Ok(None);
            }
            let value = read_value(of, &std::fs::read(path).unwrap()).map_err(|e| e.to_string())?;
            let OnnxValue::Tensor(tensor) = value else { return Err("no tensor".into()) };
            Ok(Some(Array { ty: tensor.ty(), tensor: tensor.to_tensor().map_err(|e| e.to_string())? }))
        };
        let mut given = BTreeMap::new();
        for (i, info) in inputs.iter().enumerate() {
            if let Some(array) = read("input", i, &info.kind)? {
                given.insert(info.name.clone(), array);
            }
        }
        let found = session.run(&given).map_err(|e| e.to_string())?;
        for (i, (info, (name, found))) in outputs.iter().zip(&found).enumerate() {
            let Some(expected) = read("output", i, &info.kind)? else { return Err(format!("there is no output_{i}.pb")) };
            same(found, &expected, random).map_err(|e| format!("result '{name}': {e}"))?;
        }
    }
    Ok(())
}

/// The tolerances of ONNX's own runner, 1e-3 of the value and 1e-7, widened for types whose neighbours are further apart, and by
/// what roundings of f32 leave where large terms of a sum cancel: four of the largest element.
fn same(found: &Array, expected: &Array, random: bool) -> Result<(), String> {
    let label = |a: &Array| format!("{}{:?}", a.ty.name(), a.tensor.shape());
    if found.ty != expected.ty || found.tensor.shape() != expected.tensor.shape() {
        return Err(format!("{} where {} is expected", label(found), label(expected)));
    }
    if random {
        return Ok(());
    }
    let relative = match expected.ty {
        ElementType::Float16 => 2e-3,
        ElementType::Bfloat16 => 1e-2,
        _ => 1e-3f32,
    };
    let wrong = match (found.tensor.data(), expected.tensor.data()) {
        (Data::I64(a), Data::I64(b)) => {
            a.iter().zip(b).position(|(a, b)| a != b).map(|i| format!("element {i} is {}, not {}", a[i], b[i]))
        }
        (Data::F32(a), Data::F32(b)) => {
            let rounded = |x: f32| if expected.ty == ElementType::Double { x } else { expected.ty.round(x, true) };
            let largest = b.iter().copied().filter(|x| x.is_finite()).fold(0.0, |m: f32, x| m.max(x.abs()));
            let least = 1e-7 + 4.0 * f32::EPSILON * largest;
            let near = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= least + relative * b.abs();
            let at = a.iter().zip(b).position(|(a, b)| !near(*a, *b) && !near(rounded(*a), *b));
            at.map(|i| format!("element {i} is {}, not {}", a[i], b[i]))
        }
        _ => Some("other kinds of elements".into()),
    };
    wrong.map_or(Ok(()), Err)
}
