//! `wavelane bench` and `wavelane profile`: their reports are as `docs/bench.md` says, and their pages stand alone.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use naga::valid::{Capabilities, ValidationFlags, Validator};
use serde_json::Value;
use wavelane::gate::{Shader, Target};
use wavelane::kernel::linker;
use wavelane::measure::kernels::{self, Scope};
use wavelane::measure::roof;
use wavelane::report::BenchReport;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavelane"));
    command.args(arguments).args(["--no-tune"]).env_remove("WAVELANE_DEVICE").env_remove("WAVELANE_LOG").stdin(Stdio::null());
    command.env("WAVELANE_CACHE", env!("CARGO_TARGET_TMPDIR")).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The required devices that are there; a required one that is missing fails the test.
fn devices() -> Vec<&'static str> {
    let found = wavelane::gpu::devices();
    let present = |name: &&str| found.iter().any(|d| d.name.contains(name));
    let required = std::env::var("WAVELANE_REQUIRE_DEVICES").unwrap_or_default();
    let missing = required.split(',').filter(|name| !name.is_empty()).find(|name| !present(name));
    assert_eq!(missing, None, "a required device is missing");
    ["llvmpipe", "SwiftShader"].into_iter().filter(present).collect()
}

/// The fields that a section of `docs/bench.md` documents: the first column of its table, a type in the second.
fn documented(section: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench.md")).unwrap();
    let heading = format!("### `{section}`");
    let rest = text.split_once(&heading).unwrap_or_else(|| panic!("docs/bench.md does not describe '{section}'")).1;
    let body = rest.split("\n#").next().unwrap();
    let rows = body.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let mut columns = row.split(" | ");
        let name = columns.next().unwrap().trim_end_matches('`').to_owned();
        (name, columns.next().unwrap().trim().to_owned())
    };
    rows.map(row).collect()
}

/// Holds an object, and all that is in it, to the documented fields: all of them, no others, of these types.
fn hold(value: &Value, section: &str) {
    let object = value.as_object().unwrap_or_else(|| panic!("'{section}' is no object: {value}"));
    let fields = documented(section);
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(object.keys().map(String::as_str).collect::<Vec<_>>(), names, "the fields of '{section}'");
    for (name, ty) in &fields {
        let found = &object[name];
        let place = format!("{section}.{name}: {ty}, found {found}");
        if let Some(ty) = ty.strip_suffix(" or null") {
            if !found.is_null() {
                hold_type(found, ty, &place);
            }
        } else {
            hold_type(found, ty, &place);
        }
    }
}

fn hold_type(found: &Value, ty: &str, place: &str) {
    match ty {
        "text" => assert!(found.is_string(), "{place}"),
        "whole number" => assert!(found.is_u64(), "{place}"),
        "number" => assert!(found.as_f64().is_some_and(|x| x.is_finite() && x >= 0.0), "{place}"),
        "true or false" => assert!(found.is_boolean(), "{place}"),
        "object" => assert!(found.is_object(), "{place}"),
        "numbers" => assert!(found.as_array().is_some_and(|list| list.iter().all(Value::is_number)), "{place}"),
        list if list.starts_with("list of `") => {
            let section = list.trim_start_matches("list of `").trim_end_matches('`');
            found.as_array().unwrap_or_else(|| panic!("{place}")).iter().for_each(|one| hold(one, section));
        }
        section => hold(found, section.trim_matches('`')),
    }
}

/// A page must need nothing but itself.
fn stands_alone(page: &str) {
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "the page has {outside}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn a_short_report_has_the_documented_schema() {
    for device in devices() {
        let (saved, page) = (path(&format!("{device}.json")), path(&format!("{device}.html")));
        let files = ["--save", saved.to_str().unwrap(), "--html", page.to_str().unwrap()];
        let text = stdout(&run(&[&["bench", "--quick", "--device", device, "--output", "json"], &files[..]].concat()));
        let report: Value = serde_json::from_str(&text).unwrap();
        hold(&report, "report");
        assert_eq!((&report["schema"], &report["kind"], &report["quick"]), (&1.into(), &"bench".into(), &true.into()));
        assert_eq!(std::fs::read_to_string(&saved).unwrap(), text);
        let read = BenchReport::from_json(&text, "report").unwrap();
        assert_eq!(read.kernels.len(), kernels::cases(Scope::Quick).unwrap().len());
        assert!(read.kernels.iter().all(|k| k.seconds > 0.0 && k.share > 0.0), "{text}");
        let roofs = read.roofs.unwrap();
        assert!(roofs.memory.read > 0.0 && roofs.f32_flops > 0.0 && roofs.int8_ops > 0.0 && roofs.readback_seconds > 0.0);
        assert_eq!(roofs.f16_flops.is_some(), device == "llvmpipe", "SwiftShader has no f16");
        // No software device has matrices, and the report says so.
        assert!(roofs.cooperative_flops.is_none() && roofs.cooperative_reason.is_some_and(|why| why.contains("has none")));
        let page = std::fs::read_to_string(page).unwrap();
        stands_alone(&page);
        assert!(page.contains("Roofline") && page.contains(&read.kernels[0].name));
    }
}

#[test]
fn reports_are_compared() {
    let Some(device) = devices().first().copied() else { return };
    let [a, b, page] = ["a.json", "b.json", "compared.html"].map(path);
    for file in [&a, &b] {
        let arguments = ["bench", "--quick", "--device", device, "--only", "roofs", "-o", "csv", "--save"];
        let csv = stdout(&run(&[&arguments[..], &[file.to_str().unwrap()]].concat()));
        assert!(csv.starts_with("section,name,unit,value,deviation\nroof,read,GB/s,"), "{csv}");
    }
    let markdown = stdout(&run(&["bench", "--quick", "--device", device, "--only", "roofs", "-o", "markdown"]));
    let titles = markdown.lines().filter(|line| line.starts_with("## ")).count();
    assert!(markdown.starts_with(device) && titles > 0 && markdown.matches("|---").count() >= 2 * titles, "{markdown}");
    let [a, b, html] = [&a, &b, &page].map(|p| p.to_str().unwrap());
    let compare = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wavelane"));
        command.arg("bench").args(arguments).output().unwrap()
    };
    let table = stdout(&compare(&["--compare", a, b, "--html", html]));
    assert!(table.starts_with("what") && table.lines().next().unwrap().ends_with("x b"), "{table}");
    stands_alone(&std::fs::read_to_string(&page).unwrap());
    let other = path("other.json");
    std::fs::write(&other, r#"{"schema": 2, "kind": "bench"}"#).unwrap();
    let output = compare(&["--compare", a, other.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(4) && said.contains("other.json") && said.contains("schema 2"), "{said}");
}

#[test]
fn a_language_model_is_measured_in_batches() {
    let (Some(model), Some(device)) = (support::model_path(), devices().first().copied()) else { return };
    let lengths = ["-p", "16,8", "-n", "0,4", "-b", "1,3", "-r", "2"];
    let flags = ["bench", "--device", device, "-m", model.to_str().unwrap(), "--only", "models", "-o", "json"];
    let report: Value = serde_json::from_str(&stdout(&run(&[&flags[..], &lengths].concat()))).unwrap();
    hold(&report, "report");
    let tests = report["models"][0]["tests"].as_array().unwrap();
    let names: Vec<&str> = tests.iter().map(|t| t["test"].as_str().unwrap()).collect();
    assert_eq!(names, ["pp16", "pp8", "tg4", "pp16 x3", "pp8 x3", "tg4 x3"]);
    let parts: Vec<&str> = report["models"][0]["parts"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(parts, ["prompt step of 16 tokens, pp16", "decode step, tg4"]);
    // All batches share the weights, and each has a cache of its own while it runs.
    let memory = &report["models"][0]["memory"];
    let weights = report["models"][0]["parts"][0]["profile"]["weight_bytes"].as_u64().unwrap();
    let found = memory["weights"].as_u64().unwrap();
    assert!(found >= weights && found < weights + weights / 20, "{memory} for weights of {weights}");
    assert!(tests.iter().all(|t| t["mean"].as_f64().unwrap() > 0.0 && t["samples"].as_array().unwrap().len() == 2));
    // Beside another report the time of each op and the memory of every part stand once for each.
    let (saved, page) = (path("batches.json"), path("batches.html"));
    std::fs::write(&saved, report.to_string()).unwrap();
    let [saved, html] = [&saved, &page].map(|p| p.to_str().unwrap());
    let compared =
        Command::new(env!("CARGO_BIN_EXE_wavelane")).args(["bench", "--compare", saved, saved, "--html", html]).output();
    stdout(&compared.unwrap());
    let page = std::fs::read_to_string(page).unwrap();
    stands_alone(&page);
    assert!(page.matches("batches: decode step, tg4").count() >= 4, "the parts of both reports");
    assert!(page.contains("Time of each op") && page.contains("Memory") && !page.contains("Flame view"));
    let output = run(&["bench", "--device", device, "-m", model.to_str().unwrap(), "--only", "models", "-p", "90000"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_onnx_model_is_measured_and_profiled() {
    let found = (support::optional_model("onnx-light/light_squeezenet.onnx", "onnx-light"), devices().first().copied());
    let (Some(model), Some(device)) = found else { return };
    let shape = ["--shape", "data_0=1x3x224x224"];
    let flags = ["bench", "--device", device, "-m", model.to_str().unwrap(), "--only", "models", "-r", "2", "-o", "json"];
    let report: Value = serde_json::from_str(&stdout(&run(&[&flags[..], &shape].concat()))).unwrap();
    hold(&report, "report");
    let figure = &report["models"][0];
    assert_eq!((&figure["tests"][0]["test"], &figure["tests"][0]["unit"]), (&"data_0=1x3x224x224".into(), &"images/s".into()));
    let steps = figure["parts"][0]["profile"]["steps"].as_array().unwrap();
    // Nine modules of three convolutions each but for the first and the last.
    assert_eq!(steps.iter().filter(|s| s["op"] == "Conv").count(), 26);
    let missing = run(&["profile", model.to_str().unwrap(), "--device", device]);
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(2) && said.contains("missing inputs: data_0"), "{said}");
}

#[test]
fn a_profile_has_the_documented_schema_however_it_is_taken() {
    let Some(model) = support::model_path() else { return };
    let devices = devices();
    let Some(device) = devices.first().copied() else { return };
    for method in ["timestamps", "submits"] {
        let (trace, page) = (path(&format!("{method}.trace.json")), path(&format!("{method}.html")));
        let files = ["--trace", trace.to_str().unwrap(), "--html", page.to_str().unwrap()];
        let flags = ["profile", model.to_str().unwrap(), "--device", device, "-p", "8", "-r", "2", "--method", method, "--json"];
        let report: Value = serde_json::from_str(&stdout(&run(&[&flags[..], &files].concat()))).unwrap();
        hold(&report, "profile report");
        let parts = report["parts"].as_array().unwrap();
        assert_eq!(parts.len(), 2);
        for part in parts {
            assert_eq!(part["profile"]["method"], method);
            let steps = part["profile"]["steps"].as_array().unwrap();
            let seconds = |d: &Value| d["seconds"].as_f64().unwrap();
            let dispatches = || steps.iter().flat_map(|s| s["dispatches"].as_array().unwrap());
            // A step of a model with 30 layers; each product must have taken some time.
            assert!(dispatches().count() > 150);
            let all: f64 = dispatches().map(seconds).sum();
            assert!(all > 0.0 && dispatches().filter(|d| seconds(d) > 0.0).count() > 120, "{all}");
        }
        // Steps with caches have rates: nine heads of 64 attend to nine positions, of which three heads' keys and values are read in
        // f16, besides queries, results and a few indices.
        let decode = parts[1]["profile"]["steps"].as_array().unwrap();
        let of = |op: &str| decode.iter().find(|step| step["op"] == op).unwrap_or_else(|| panic!("no {op}"));
        let (flops, bytes) = (of("Attention")["flops"].as_u64(), of("Attention")["bytes"].as_u64().unwrap());
        assert_eq!(flops, Some(4 * 9 * 64 * 9));
        let caches = 2 * 3 * 64 * 9 * 2 + 2 * 9 * 64 * 4;
        assert!((caches..caches + 1024).contains(&bytes), "{bytes} bytes beside {caches}");
        assert!(of("RopeCache")["bytes"].as_u64().is_some_and(|bytes| bytes > 2 * 3 * 64 * 2));
        let trace: Value = serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        assert!(events.iter().filter(|e| e["ph"] == "X").all(|e| e["ts"].is_number() && e["dur"].is_number()));
        assert!(events.iter().any(|e| e["cat"] == "dispatch"));
        let page = std::fs::read_to_string(page).unwrap();
        stands_alone(&page);
        assert!(page.contains("Flame view of decode step at position 8"));
    }
    let output = run(&["profile", model.to_str().unwrap(), "--device", "cpu"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("no dispatches to time"), "{said}");
}

#[test]
fn kernels_of_roofs_are_valid() {
    let dispatches = roof::dispatches();
    for (stem, _) in linker::ROOFS {
        let uses = |d: &wavelane::kernel::Dispatch| d.kernel.shader == *stem || d.kernel.providers.iter().any(|p| p == stem);
        assert!(dispatches.iter().any(uses), "no roof uses shaders/{stem}.wgsl");
    }
    for dispatch in dispatches {
        let source = linker::link(&dispatch.kernel).unwrap();
        let module = naga::front::wgsl::parse_str(&source).unwrap_or_else(|e| panic!("{}", e.emit_to_string(&source)));
        let matrices = Capabilities::SUBGROUP | Capabilities::COOPERATIVE_MATRIX;
        let numbers = Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_INT64;
        let mut validator = Validator::new(ValidationFlags::all(), numbers | matrices);
        validator.validate(&module).unwrap_or_else(|e| panic!("{}", e.emit_to_string(&source)));
        assert_eq!(source.starts_with("enable f16;"), source.contains("= f16;"), "{source}");
        let words = Shader::parse(&dispatch.kernel.to_string(), &source).and_then(|shader| shader.translate(Target::Spirv));
        assert!(words.is_ok_and(|words| words.len() > 100), "{source}");
    }
}
