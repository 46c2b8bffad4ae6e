//! The crate is laid out as it is described: layers use only what is above them in this list, and documents name files
//! that exist.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up; names in one line do not use one another.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["dtype", "media", "tokenizer"],
    &["quant"],
    &["shape", "tensor"],
    &["kernel"],
    &["ops"],
    &["graph"],
    &["plan"],
    &["gate", "gpu"],
    &["verify"],
    &["session"],
    &["formats"],
    &["models", "onnx"],
    &["generate", "tasks"],
    &["measure"],
    &["report"],
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The modules of the crate that a source text names as `crate::module`, outside of comments.
fn used(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = |line: &str| -> Vec<String> {
        let rest = line.split("crate::").skip(1);
        rest.map(|r| r.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
    };
    code.flat_map(names).filter(|name: &String| !name.is_empty()).collect()
}

#[test]
fn layers_use_only_what_is_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let level: HashMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(i, names)| names.iter().map(move |n| (*n, i))).collect();
    let (mut paths, mut broken, mut checked) = (Vec::new(), Vec::new(), 0);
    files(&root, &mut paths);
    for path in paths {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap();
        let layer = first.strip_suffix(".rs").unwrap_or(first);
        if ["lib", "main", "cli"].contains(&layer) {
            continue;
        }
        let own = *level.get(layer).unwrap_or_else(|| panic!("the layer '{layer}' is not in the list"));
        for name in used(&fs::read_to_string(&path).unwrap()) {
            checked += 1;
            let sound = name == layer || level.get(name.as_str()).is_none_or(|other| *other < own);
            if !sound {
                broken.push(format!("{} uses '{name}'", inside.display()));
            }
        }
    }
    assert!(checked > 200, "only {checked} uses were found: the search is broken");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn documents_name_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/recipes.md",
        "docs/bench.md",
        "docs/benchmarks.md",
        "docs/gate.md",
        "docs/gpu-cost.md",
        "docs/onnx.md",
        "docs/proving.md",
    ];
    // The recipes' made-up op, format and family, and what a script fetches.
    let invented = ["thing", "q9_z", "/x."];
    let (mut missing, mut checked) = (Vec::new(), 0);
    for document in documents {
        let text = fs::read_to_string(root.join(document)).unwrap();
        // What stands between backticks is every second part.
        for name in text.split('`').skip(1).step_by(2) {
            let path = name.split([' ', ':']).next().unwrap_or_default();
            let ends = [".rs", ".wgsl", ".md", ".sh", ".py"].iter().any(|e| path.ends_with(e));
            if !ends || !path.contains('/') || invented.iter().any(|i| path.contains(i)) {
                continue;
            }
            checked += 1;
            let places = ["", "src/", "shaders/", "tests/", "benches/"];
            if !places.iter().any(|place| root.join(place).join(path).exists()) {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(checked > 40, "only {checked} names were found: the search is broken");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The table of operators in `docs/onnx.md`; `WAVELANE_UPDATE=1` writes it.
#[test]
fn the_table_of_operators_is_that_of_the_code() {
    use wavelane::onnx::{Where, operators};
    let mut rows: Vec<String> = operators()
        .map(|o| {
            let place = match o.place {
                Where::Device => "device".to_owned(),
                Where::Nowhere => "nowhere".to_owned(),
                Where::Host(why) => format!("host: {why}"),
            };
            let domain = if o.domain.is_empty() { String::new() } else { format!(" ({})", o.domain) };
            format!("| `{}`{domain} | {place} |\n", o.name)
        })
        .collect();
    rows.sort();
    rows.dedup();
    assert!(rows.len() > 150, "only {} operators are known", rows.len());
    let table = format!("\n| operator | where |\n|---|---|\n{}\n", rows.concat());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/onnx.md");
    let text = fs::read_to_string(&path).unwrap();
    let begin = text.find("test layers` -->").unwrap() + "test layers` -->\n".len();
    let end = text.find("<!-- end of operators -->").unwrap();
    if std::env::var_os("WAVELANE_UPDATE").is_some() {
        fs::write(&path, [&text[..begin], &table, &text[end..]].concat()).unwrap();
    } else {
        assert!(text[begin..end] == table, "docs/onnx.md is out of date: WAVELANE_UPDATE=1 cargo test --test layers");
    }
}
