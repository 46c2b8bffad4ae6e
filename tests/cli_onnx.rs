//! The commands of the binary that run ONNX models, on small models that the tests write, and on real ones.

#[path = "support/devices.rs"]
mod devices;
#[path = "onnx_format/message.rs"]
#[allow(dead_code)] // The models here need less of it.
mod message;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use message::{Message, model, node, tensor, value};
use serde_json::Value;
use wavelane::formats::onnx::read_tensor_proto;
use wavelane::formats::{ElementType, SafeTensors, npy};
use wavelane::media::Picture;
use wavelane::tensor::Tensor;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavelane"));
    command.args(arguments).env("WAVELANE_DEVICE", "cpu").env_remove("WAVELANE_LOG").stdin(Stdio::null());
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// That a command fails with a code, and names some things.
fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = run(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(parts.iter().all(|part| text.contains(part)) && !text.contains("panicked"), "{arguments:?}: {text}");
}

/// An empty folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli_onnx").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    text(&path)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn floats(shape: &[usize], values: &[f32]) -> Vec<u8> {
    npy::write_npy(ElementType::Float, &Tensor::f32(shape, values.to_vec()).unwrap()).unwrap()
}

fn graph(nodes: &[Message], inputs: &[Message], outputs: &[Message], initializers: &[Message]) -> Vec<u8> {
    let graph = Message::new().messages(1, nodes).text(2, "g").messages(5, initializers);
    model(&graph.messages(11, inputs).messages(12, outputs)).0
}

/// y = a + 10 b for two values of two floats.
fn sum() -> Vec<u8> {
    let ten = tensor("ten", 1, &[1]).bytes(9, &10f32.to_le_bytes());
    let nodes = [node("Mul", &["b", "ten"], &["t"]), node("Add", &["a", "t"], &["y"])];
    graph(&nodes, &[value("a", &[2]), value("b", &[2])], &[value("y", &[2])], &[ten])
}

/// The mean of each colour of a picture of two rows and four columns.
fn colours() -> Vec<u8> {
    let nodes = [node("GlobalAveragePool", &["x"], &["y"])];
    graph(&nodes, &[value("x", &[1, 3, 2, 4])], &[value("y", &[1, 3, 1, 1])], &[])
}

/// y = -x for one value of two floats.
fn negative() -> Vec<u8> {
    graph(&[node("Neg", &["x"], &["y"])], &[value("x", &[2])], &[value("y", &[2])], &[])
}

#[test]
fn arrays_of_every_kind_are_read_and_written() {
    let dir = folder("kinds");
    let model = write(&dir, "sum.onnx", &sum());
    let a = write(&dir, "a.npy", &floats(&[2], &[1.0, 2.0]));
    let b = Tensor::i64(&[2], vec![3, -4]).unwrap();
    let both = [("a", ElementType::Float, &Tensor::f32(&[2], vec![1.0, 2.0]).unwrap()), ("b", ElementType::Int32, &b)];
    let archive = write(&dir, "both.npz", &npy::write_npz(&both).unwrap());
    let other = write(&dir, "both.safetensors", &wavelane::formats::safetensors::write_safetensors(&both).unwrap());
    let proto = write(&dir, "b.pb", &wavelane::formats::onnx::write_tensor_proto(ElementType::Int32, &b, "b").unwrap());

    let (a, proto) = (format!("a={a}"), format!("b={proto}"));
    for inputs in [vec!["--input", &a, "--input", &proto], vec!["--input", &archive], vec!["--input", &other]] {
        let object = json(&run(&[&["infer", &model, "--json"], &inputs[..]].concat()));
        let y = &object["outputs"][0];
        assert_eq!((&y["name"], &y["type"], y["shape"][0].as_u64()), (&"y".into(), &"float".into(), Some(2)), "{object}");
        let found = ["min", "mean", "max"].map(|key| y[key].as_f64().unwrap());
        assert_eq!((found, y["top"][0][0][0].as_u64()), ([-38.0, -3.5, 31.0], Some(0)));
    }
    let summary = stdout(&run(&["infer", &model, "--input", &archive]));
    assert!(summary.starts_with("y float[2]  min -38.000000 mean -3.500000 max 31.000000\n  top 0: 31.000000"), "{summary}");

    let y = Tensor::f32(&[2], vec![31.0, -38.0]).unwrap();
    let saved = |name: &str| {
        let path = text(&dir.join(name));
        assert_eq!(stdout(&run(&["infer", &model, "--input", &archive, "--output", &path])), "");
        std::fs::read(path).unwrap()
    };
    assert_eq!(npy::read_npy(&saved("y.npy")).unwrap(), (ElementType::Float, y.clone()));
    assert_eq!(npy::read_npz(&saved("y.npz"), 1 << 20).unwrap()["y"], (ElementType::Float, y.clone()));
    assert_eq!(read_tensor_proto(&saved("y.pb")).unwrap().to_tensor().unwrap(), y);
    assert_eq!(SafeTensors::from_bytes(saved("y.safetensors"), "y").unwrap().array("y").unwrap().1, y);
    let object: Value = serde_json::from_slice(&saved("y.json")).unwrap();
    assert_eq!(object["y"]["data"], serde_json::json!([31.0, -38.0]));
    assert!(std::fs::read_dir(&dir).unwrap().all(|e| !e.unwrap().file_name().to_string_lossy().contains(".part")));
}

#[test]
fn wrong_inputs_are_refused_by_name() {
    let dir = folder("wrong");
    let model = write(&dir, "sum.onnx", &sum());
    let a = write(&dir, "a.npy", &floats(&[2], &[1.0, 2.0]));
    let named = format!("a={a}");
    refused(&["infer", &model, "--input", &named], 2, &["missing inputs: b float[2]"]);
    refused(&["infer", &model, "--input", &a], 2, &["a.npy: for which of a, b?"]);
    refused(&["infer", &model, "--input", "c=x.npy"], 2, &["no input 'c'", "a, b"]);
    refused(&["infer", &model, "--input", &named, "--input", &named], 2, &["'a' is given twice"]);
    refused(&["infer", &model, "--input", "a=absent.npy"], 4, &["absent.npy"]);
    refused(&["infer", &model, "--input", "a=x.txt"], 2, &["x.txt", ".safetensors"]);
    refused(&["infer", &model, "--output", "y.txt"], 2, &["y.txt", ".npz"]);
    let garbage = write(&dir, "garbage.npy", b"not an array");
    refused(&["infer", &model, "--input", &format!("a={garbage}")], 4, &["garbage.npy", "NumPy"]);
    // Whole numbers become floats where none changes, doubles never do.
    let large = Tensor::i64(&[2], vec![(1 << 24) + 1, 0]).unwrap();
    let large = write(&dir, "large.npy", &npy::write_npy(ElementType::Int64, &large).unwrap());
    refused(&["infer", &model, "--input", &format!("a={large}")], 2, &["int64", "takes float", "would change"]);
    let double = Tensor::f32(&[2], vec![0.5, 0.5]).unwrap();
    let double = write(&dir, "double.npy", &npy::write_npy(ElementType::Double, &double).unwrap());
    refused(&["infer", &model, "--input", &format!("a={double}")], 2, &["double.npy: double elements"]);
    let long = write(&dir, "long.npy", &floats(&[3], &[1.0; 3]));
    refused(&["infer", &model, "--input", &format!("a={long}"), "--input", &format!("b={a}")], 2, &["'a'", "[3]"]);
    refused(&["infer", "absent.onnx"], 4, &["absent.onnx"]);
}

/// The parts of an object of seconds that has their sum as `seconds`.
fn holds_a_start(start: &Value) {
    let seconds = |name: &str| start[name].as_f64().unwrap_or_else(|| panic!("'{name}' of {start}"));
    let names = ["file", "device", "planning", "upload", "pipelines", "proving", "tuning", "binding", "running"];
    let sum: f64 = names.iter().map(|name| seconds(name)).sum();
    assert!(seconds("seconds") > 0.0 && (sum - seconds("seconds")).abs() < 1e-3, "{start}");
    assert_eq!(start.as_object().unwrap().len(), names.len() + 1);
}

#[test]
fn a_start_says_where_it_went_and_what_it_took() {
    let dir = folder("start");
    let model = write(&dir, "negative.onnx", &negative());
    let x = format!("x={}", write(&dir, "x.npy", &floats(&[2], &[1.0, 2.0])));
    let flags = ["infer", &model, "--input", &x, "--json"];
    let on_cpu = json(&run(&flags));
    holds_a_start(&on_cpu["start"]);
    assert!(on_cpu["memory"].is_null() && on_cpu["start"]["proving"] == 0.0, "{on_cpu}");
    for gpu in devices::open() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wavelane"));
        command.args(flags).args(["--device", &gpu.info().name]).env("WAVELANE_CACHE", &dir);
        let (found, known) = (json(&command.output().unwrap()), json(&command.output().unwrap()));
        for object in [&found, &known] {
            holds_a_start(&object["start"]);
            let bytes = |when: &str, what: &str| object["memory"][when][what].as_u64().unwrap();
            // Two floats of activations at least, and as many on the way in and out.
            assert!(bytes("peak", "arena") >= 8 && bytes("peak", "staging") >= 24, "{object}");
            assert!(bytes("now", "staging") <= bytes("peak", "staging") && bytes("peak", "states") == 0, "{object}");
        }
        // The second start knows from the first what it need not find out again.
        assert!(found["start"]["proving"].as_f64().unwrap() > 0.0, "{found}");
    }
}

#[test]
fn kernels_of_an_onnx_run_are_held_to_devices() {
    let dir = folder("shaders");
    let named = write(&dir, "colours.onnx", &colours());
    let listed = json(&run(&["shaders", &named, "--json"]));
    assert!(listed.as_array().unwrap().iter().any(|k| k["name"].as_str().unwrap().contains("reduce")), "{listed}");
    let checked = run(&["shaders", &named, "--check", "--shape", "x=1x3x2x4"]);
    assert_eq!(stdout(&checked), "");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("kernels keep to what "), "{said}");
    refused(&["shaders", &named, "--check", "--shape", "z=1"], 2, &["no input 'z'"]);
    refused(&["shaders", &named, "--shape", "x=1x3x2x5"], 2, &["'x'"]);
}

#[test]
fn pictures_fit_the_model() {
    let dir = folder("pictures");
    let model = write(&dir, "colours.onnx", &colours());
    let path = dir.join("red.png");
    Picture::filled(17, 9, [255, 51, 0]).unwrap().save(&path).unwrap();
    let output = text(&dir.join("means.npy"));
    stdout(&run(&["infer", &model, "--input", &text(&path), "--output", &output]));
    let (_, means) = npy::read_npy(&std::fs::read(&output).unwrap()).unwrap();
    assert!(means.as_f32().unwrap().iter().zip([1.0, 0.2, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{means:?}");
    refused(&["infer", &model, "--input", &text(&path), "--preset", "none"], 2, &["'none'", "imagenet"]);
    // The preset makes another size than the model takes.
    refused(&["infer", &model, "--input", &text(&path), "--preset", "unit"], 2, &["'x'", "9, 17"]);
    let plain = write(&dir, "sum.onnx", &sum());
    refused(&["infer", &plain, "--input", &format!("a={}", text(&path))], 2, &["red.png", "--preset"]);
}

#[test]
fn a_batch_goes_on_where_it_stopped() {
    let (dir, files) = (folder("batch"), folder("batch/files"));
    let model = write(&dir, "negative.onnx", &negative());
    for (i, name) in ["a.npy", "b.npy", "c.npy"].iter().enumerate() {
        write(&files, name, &floats(&[2], &[i as f32, 1.0]));
    }
    write(&files, ".hidden", b"");
    write(&files, "broken.npy", b"no array");
    let out = dir.join("out");
    let arguments = ["infer", &model, "--batch", &text(&files), "--output", &text(&out)];
    refused(&arguments, 1, &["broken.npy", "1 of 4 files failed"]);
    let result = |name: &str| npy::read_npz(&std::fs::read(out.join(name)).unwrap(), 1 << 20).unwrap()["y"].1.clone();
    assert_eq!(result("c.npy.npz"), Tensor::f32(&[2], vec![-2.0, -1.0]).unwrap());
    assert!(!out.join("broken.npy.npz").exists());

    // What is there stays as it is; what is missing or was broken is made.
    std::fs::write(out.join("a.npy.npz"), b"kept").unwrap();
    std::fs::remove_file(out.join("b.npy.npz")).unwrap();
    write(&files, "broken.npy", &floats(&[2], &[7.0, 7.0]));
    let output = run(&arguments);
    stdout(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 of 4 results are there already"));
    assert_eq!(std::fs::read(out.join("a.npy.npz")).unwrap(), b"kept");
    assert_eq!(result("b.npy.npz"), Tensor::f32(&[2], vec![-1.0, -1.0]).unwrap());
    assert_eq!(result("broken.npy.npz"), Tensor::f32(&[2], vec![-7.0, -7.0]).unwrap());

    // Other settings and other models do not mix with these results, nor do results with other files.
    refused(&[&arguments[..], &["--rate", "8000"]].concat(), 2, &["another model or other settings"]);
    write(&dir, "negative.onnx", &sum());
    refused(&arguments, 2, &["another model or other settings"]);
    refused(&["infer", &model, "--batch", &text(&files), "--output", &text(&files)], 2, &["files of something else"]);
    refused(&["infer", &model, "--batch", &text(&files), "--input", "x"], 2, &["--batch", "--input"]);
    refused(&["infer", &model, "--batch", &text(&folder("batch/empty"))], 2, &["no files"]);
}

#[test]
fn a_batch_without_a_folder_for_results_is_summarised() {
    let (dir, files) = (folder("listed"), folder("listed/files"));
    let model = write(&dir, "negative.onnx", &negative());
    write(&files, "b.npy", &floats(&[2], &[1.0, 3.0]));
    write(&files, "a.npy", &floats(&[2], &[5.0, 7.0]));
    let text = stdout(&run(&["infer", &model, "--batch", &text(&files), "--json"]));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = lines.iter().map(|l| (l["file"].as_str().unwrap(), l["outputs"][0]["mean"].as_f64().unwrap())).collect();
    assert_eq!(found, [("a.npy", -6.0), ("b.npy", -2.0)]);
}

#[test]
fn sound_is_measured_in_seconds_of_it() {
    let Some(device) = devices::open().first().map(|gpu| gpu.info().name.clone()) else { return };
    let dir = folder("measured");
    let model = write(
        &dir,
        "twice.onnx",
        &graph(&[node("Add", &["x", "x"], &["y"])], &[value("x", &[1, 8000])], &[value("y", &[1, 8000])], &[]),
    );
    let sound = write(&dir, "half_a_second.wav", &wav(16_000, 8_000));
    let flags =
        ["bench", "-m", &model, "--input", &sound, "--device", &device, "--only", "models", "-r", "2", "-o", "json", "--no-tune"];
    let test = json(&run(&flags))["models"][0]["tests"][0].clone();
    assert_eq!((&test["unit"], test["samples"].as_array().unwrap().len()), (&"s of audio/s".into(), 2), "{test}");
    // Half a second in less than a minute.
    assert!(test["mean"].as_f64().unwrap() > 0.01, "{test}");
}

/// A file of 16-bit silence.
fn wav(rate: u32, samples: u32) -> Vec<u8> {
    let (bytes, mut file) = (2 * samples, b"RIFF".to_vec());
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    for part in [16, 1 | 1 << 16, rate, 2 * rate, 2 | 16 << 16] {
        file.extend(part.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    file.resize(file.len() + bytes as usize, 0);
    file
}

#[test]
fn models_are_inspected() {
    let dir = folder("inspect");
    let model = write(&dir, "sum.onnx", &sum());
    let object = json(&run(&["inspect", &model, "--json"]));
    assert_eq!((&object["opsets"][""], &object["parameters"], &object["bytes"]), (&21.into(), &1.into(), &4.into()));
    assert_eq!(object["inputs"][1], serde_json::json!({ "name": "b", "type": "float[2]" }));
    assert_eq!(object["operators"]["Mul"], serde_json::json!({ "nodes": 1, "runs": "device" }));
    let run_of = &object["run"];
    assert_eq!((&run_of["stages"], &run_of["stages_run"], &run_of["dispatches"]), (&1.into(), &0.into(), &1.into()), "{object}");
    assert!(run_of["flops"].as_u64().unwrap() >= 4, "{object}");

    let graph = stdout(&run(&["inspect", &model, "--dump-graph"]));
    assert!(graph.contains("stage 0 at g:0") && graph.contains("pass remove-dead-code"), "{graph}");
    let plan = stdout(&run(&["inspect", &model, "--dump-plan"]));
    assert!(plan.contains("1 dispatches"), "{plan}");
    let dumped = stdout(&run(&[
        "infer",
        &write(&dir, "negative.onnx", &negative()),
        "--dump-graph",
        "--input",
        &write(&dir, "x.npy", &floats(&[2], &[0.0; 2])),
    ]));
    assert!(dumped.contains("stage 0"), "{dumped}");

    // Shapes decide about the cost, and must be the model's.
    let model = write(&dir, "colours.onnx", &colours());
    let listed = stdout(&run(&["inspect", &model]));
    assert!(listed.contains("x float[1, 3, 2, 4]") && listed.contains("GlobalAveragePool (device)"), "{listed}");
    refused(&["inspect", &model, "--input", "x=1x3x5x5"], 2, &["'x'"]);
    refused(&["inspect", &model, "--input", "z=1"], 2, &["no input 'z'"]);
    refused(&["inspect", &model, "--input", "x=1xtwo"], 2, &["NAME=DIMS"]);
    refused(&["inspect", &model, "--input", "x=99999999999x99999999999"], 2, &["elements"]);
    refused(&["inspect", &model, "--ctx", "5"], 2, &["--ctx"]);

    // An unknown operator is shown and is no reason to refuse the rest.
    let strange = graph_of_strange();
    let object = json(&run(&["inspect", &write(&dir, "strange.onnx", &strange), "--json"]));
    assert_eq!((&object["unknown"], &object["operators"]["Strange"]["runs"]), (&serde_json::json!(["Strange"]), &Value::Null));
    assert!(object["run"]["error"].as_str().unwrap().contains("Strange"));
}

fn graph_of_strange() -> Vec<u8> {
    graph(&[node("Strange", &["x"], &["y"])], &[value("x", &[2])], &[value("y", &[2])], &[])
}

#[test]
fn an_absent_model_is_named_with_what_fetches_it() {
    let dir = folder("absent");
    let picture = dir.join("white.png");
    Picture::filled(40, 40, [255; 3]).unwrap().save(&picture).unwrap();
    let picture = text(&picture);
    let nowhere = text(&dir.join("nowhere"));
    refused(&["ocr", &picture, "--models", &nowhere], 4, &["PP-OCRv6_det_small.onnx", "scripts/fetch.sh ocr"]);
    refused(&["saliency", &picture, "--model", &nowhere], 4, &["nowhere", "scripts/fetch.sh vit-focus"]);
    refused(&["ocr", &picture, "--output", "boxes.gif"], 2, &["boxes.gif"]);
    let sound = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx/goldens/speech.wav"));
    refused(&["vad", &sound, "--model", &nowhere], 4, &["nowhere", "scripts/fetch.sh silero-vad"]);
    refused(&["ocr", "absent.png"], 4, &["absent.png"]);
}

#[test]
fn speech_is_told_in_seconds() {
    let Some(model) = support::optional_model("silero-vad/silero_vad.onnx", "silero-vad") else { return };
    let sound = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx/goldens/speech.wav"));
    let object = json(&run(&["vad", &sound, "--model", &text(&model), "--json"]));
    let speech = object["speech"].as_array().unwrap();
    assert_eq!((speech.len(), object["probabilities"].as_array().unwrap().len()), (2, 94));
    assert!((speech[0]["start"].as_f64().unwrap() - 0.354).abs() < 0.033, "{object}");
    assert_eq!(stdout(&run(&["vad", &sound, "--model", &text(&model)])).lines().count(), 2);
}
