//! The binary: what it prints, and how it ends.

#[path = "support/gguf_writer.rs"]
mod gguf_writer;
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use gguf_writer::GgufWriter;
use serde_json::Value;

fn wavelane(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavelane"));
    // What is timed depends on what else the machine does.
    command.env("WAVELANE_NO_TUNE", "true");
    command.args(arguments).env_remove("WAVELANE_DEVICE").env_remove("WAVELANE_LOG").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    wavelane(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// Exit code and standard error.
fn failure(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn model() -> Option<String> {
    support::model_path().map(|path| path.to_str().unwrap().to_owned())
}

/// A file in the tests' own folder.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn feed(mut child: Child, text: &str) -> Output {
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn piped(arguments: &[&str]) -> Child {
    wavelane(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether the GPU tests can run: false, after saying so, where llvmpipe is absent and not required.
fn has_llvmpipe() -> bool {
    let list = json(&run(&["devices", "--json"]));
    let present = list.as_array().unwrap().iter().any(|d| d["name"].as_str().unwrap().contains("llvmpipe"));
    let required = std::env::var("WAVELANE_REQUIRE_DEVICES").is_ok_and(|names| names.split(',').any(|name| name == "llvmpipe"));
    assert!(present || !required, "the required device llvmpipe is missing");
    if !present {
        eprintln!("skipped: there is no llvmpipe");
    }
    present
}

/// What a command does that finds no driver.
fn bare(arguments: &[&str]) -> Output {
    let mut command = wavelane(arguments);
    command.envs(["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].map(|name| (name, "/nonexistent.json")));
    command.env("WGPU_BACKEND", "vulkan").output().unwrap()
}

const FRANCE: &str = "The capital of France is";

#[test]
fn every_kernel_of_the_device_is_verified() {
    let page = std::env::temp_dir().join(format!("wavelane-verify-{}.html", std::process::id()));
    let text = stdout(&run(&["verify", "--quick", "--json", "--html", page.to_str().unwrap()]));
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    assert!(html.contains("<svg") && html.contains("mat_vec") && html.contains("None: every kernel"), "{html}");
    assert!(!html.contains("://") && !html.contains("<script"), "{html}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["kind"], &report["full"]), (&"verify".into(), &false.into()), "{text}");
    assert_eq!(report["untried"], serde_json::json!([]), "{text}");
    assert_eq!(report["struck"], serde_json::json!({}), "{text}");
    assert!(report["cases"].as_u64().unwrap() > 100, "{text}");
    let families = report["families"].as_array().unwrap();
    assert!(families.len() > 40, "{text}");
    for family in families {
        assert!(family["worst"].as_f64().unwrap() <= 1.0 && family["wrong"] == 0, "{family}");
    }
    let (code, said) = failure(&bare(&["verify", "--device", "cpu"]));
    assert!(code == 2 && said.contains("reference"), "{said}");
}

#[test]
fn a_prompt_is_continued() {
    let Some(model) = model() else { return };
    let base = ["run", &model, "--device", "cpu", "--raw", "--greedy", "--max-tokens", "4"];
    let text = stdout(&run(&[&base[..], &[FRANCE]].concat()));
    assert!(text.starts_with(" Paris."), "{text:?}");

    let object = json(&run(&[&base[..], &["--json", FRANCE]].concat()));
    assert!(object["text"].as_str().unwrap().starts_with(" Paris."));
    assert_eq!(object["ids"].as_array().unwrap()[..2], [7042, 30]);
    assert_eq!((object["prompt_tokens"].as_u64(), object["device"].as_str()), (Some(5), Some("cpu")));
    assert!(object["prefill_tok_s"].as_f64().unwrap() > 0.0 && object["decode_tok_s"].as_f64().unwrap() > 0.0);
    assert_eq!(object["finish_reason"], "length");
    assert!(object["memory"].is_null() && object["start"]["seconds"].as_f64().unwrap() > 0.0, "{object}");

    let child = piped(&[&base[..], &["--json", "--stop", "ris", "--seed", "9"]].concat());
    let object = json(&feed(child, &format!("{FRANCE}\n")));
    assert_eq!((&object["text"], &object["finish_reason"]), (&" Pa".into(), &"stop".into()));
    assert_eq!((&object["prompt_tokens"], &object["seed"]), (&5.into(), &9.into()));
}

#[test]
fn the_chat_template_is_applied() {
    let Some(model) = model() else { return };
    let mut command = wavelane(&["run", &model, "--greedy", "--json", "What is the capital of France?"]);
    let object = json(&command.env("WAVELANE_DEVICE", "cpu").output().unwrap());
    assert_eq!(object["text"], "The capital of France is Paris.");
    assert_eq!((&object["finish_reason"], &object["prompt_tokens"]), (&"stop".into(), &37.into()));
}

#[test]
fn scores_match_the_goldens() {
    let Some(model) = model() else { return };
    let ids = file("ids.json", b"{\"ids\": [504, 3575, 282, 4649, 314]}");
    let ids = ids.to_str().unwrap();
    let object = json(&run(&["score", &model, "--device", "cpu", "--ids", ids, "--top", "2", "--json"]));
    let numbers = |key: &str| -> Vec<f64> { object[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
    let expected = [11.53929, 0.33762, 2.43867, 0.45095];
    assert!(numbers("nll").iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{object}");
    assert_eq!(numbers("ids").len(), 5);
    assert!((object["mean_nll"].as_f64().unwrap() - 3.69163).abs() < 1e-3);
    assert!((object["perplexity"].as_f64().unwrap() - 3.69163f64.exp()).abs() < 0.1);
    let top = object["top"].as_array().unwrap();
    assert_eq!(top.len(), 5);
    assert_eq!((top[0][0][0].as_u64(), top[0].as_array().unwrap().len()), (Some(29), 2));
    assert!((top[0][0][1].as_f64().unwrap() - 27.3534).abs() < 0.01);

    let text = stdout(&feed(piped(&["score", &model, "--device", "cpu", "--text", "-"]), FRANCE));
    assert!(text.contains("mean NLL 3.69") && text.lines().count() == 6, "{text}");
}

#[test]
fn a_check_passes_on_a_device() {
    let Some(model) = model().filter(|_| has_llvmpipe()) else { return };
    let output = run(&["run", &model, "--device", "llvmpipe", "--raw", "--greedy", "--max-tokens", "2", "--check", FRANCE]);
    assert!(stdout(&output).starts_with(" Paris."));
    let ids = file("check.json", b"[504, 3575]");
    stdout(&run(&["score", &model, "--device", "llvmpipe", "--ids", ids.to_str().unwrap(), "--check"]));
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(report.contains("results against the reference, all within tolerance"), "{report}");
}

#[test]
fn graphs_and_plans_are_printed_and_nothing_runs() {
    let Some(model) = model() else { return };
    let graph = stdout(&run(&["run", &model, "--device", "cpu", "--dump-graph", FRANCE]));
    assert!(graph.contains("pass fuse-tails: 60 changed") && graph.contains("'blk.29.ffn_down"), "{}", &graph[..300]);
    let output = bare(&["run", &model, "--dump-plan", "--chunk", "32"]);
    let plan = stdout(&output);
    assert!(plan.contains("plan for R=1 T=1:") && plan.contains("plan for R=1 T=32:") && plan.contains("Attention 'blk.0.attn'"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no GPU was found"));
    // A token takes fewer dispatches than a prompt, and all are listed.
    let counts: Vec<usize> =
        plan.lines().filter_map(|line| line.strip_suffix(" dispatches")?.rsplit(' ').next()?.parse().ok()).collect();
    assert_eq!(
        (counts.len(), plan.lines().filter(|line| line.contains(" grid ")).count()),
        (2, counts.iter().sum()),
        "{counts:?}"
    );
    assert!(counts[0] < 220 && counts[0] < counts[1], "{counts:?}");
    let plan = stdout(&bare(&["score", &model, "--dump-plan"]));
    assert!(plan.contains("plan for R=256 T=256:") && plan.contains("Nll 'nll'"));
    let (code, text) = failure(&run(&["run", &model, "--device", "cpu", "--dump-plan", FRANCE]));
    assert!(code == 2 && text.contains("no plan"), "{text}");
}

#[test]
fn choices_are_exported_and_heeded() {
    let Some(model) = model().filter(|_| has_llvmpipe()) else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("choices");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let tuned = |arguments: &[&str]| {
        let mut command = wavelane(arguments);
        command.env("WAVELANE_CACHE", &folder).env("WAVELANE_DEVICE", "llvmpipe").env_remove("WAVELANE_NO_TUNE");
        command.output().unwrap()
    };
    let choices = folder.join("choices.json");
    let file = choices.to_str().unwrap();
    let report = json(&tuned(&["tune", &model, "--chunk", "1", "--ctx", "64", "--limit", "20", "--export", file, "--json"]));
    let exported: Value = serde_json::from_str(&std::fs::read_to_string(&choices).unwrap()).unwrap();
    assert_eq!((&exported["schema"], &exported["fastest"]), (&1.into(), &report["choices"]["fastest"]), "{exported}");
    assert!(exported["fastest"].as_object().is_some_and(|fastest| !fastest.is_empty()), "{exported}");

    // The same choices by themselves, of which nothing is kept elsewhere.
    let elsewhere = folder.join("elsewhere");
    let run = |choices: &str| {
        let mut command = wavelane(&[
            "run",
            &model,
            "--choices",
            choices,
            "--temperature",
            "0",
            "--max-tokens",
            "4",
            "--ctx",
            "64",
            "--json",
            FRANCE,
        ]);
        command.env("WAVELANE_CACHE", &elsewhere).env("WAVELANE_DEVICE", "llvmpipe").env_remove("WAVELANE_NO_TUNE");
        command.output().unwrap()
    };
    let object = json(&run(file));
    let learning = ["proving", "tuning"].map(|part| object["start"][part].as_f64().unwrap());
    let record = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path().extension().is_some_and(|e| e == "json");
    let records = std::fs::read_dir(elsewhere.join("devices")).map_or(0, |entries| entries.map(record).filter(|is| *is).count());
    assert!(records == 0 && learning.iter().all(|seconds| *seconds < 1e-3), "{object}");
    assert_eq!(object["ids"].as_array().unwrap().len(), 4);

    // What a file strikes is not used: without any kernel for its products the model does not run, and the message says why.
    let mut struck = exported.clone();
    let names: Vec<String> = exported["proven"].as_object().unwrap().keys().cloned().collect();
    struck["struck"] = names.into_iter().map(|name| (name, Value::from("for a test"))).collect::<serde_json::Map<_, _>>().into();
    let other = file_of(&folder, "struck.json", struck.to_string().as_bytes());
    let (code, said) = failure(&run(&other));
    assert!(code != 0 && said.contains("for a test"), "{code}: {said}");
    let (code, said) = failure(&run(&file_of(&folder, "half.json", b"{")));
    assert!(code == 4 && said.contains("half.json"), "{code}: {said}");
}

fn file_of(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_conversation_can_be_piped() {
    let Some(model) = model() else { return };
    let input = "What is the capital of France?\n/nonsense\n/reset\nWhat is the capital of France?\n/help\n/quit\nnever read\n";
    let output = feed(piped(&["chat", &model, "--device", "cpu", "--greedy", "--max-tokens", "12"]), input);
    let text = stdout(&output);
    assert_eq!(text.matches("The capital of France is Paris.").count(), 2, "{text}");
    assert!(text.contains("/reset  forget"), "{text}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("unknown command /nonsense") && said.contains("a new conversation"), "{said}");
}

#[test]
fn kernels_are_listed_and_written_without_a_device() {
    let Some(model) = model() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shaders");
    let _ = std::fs::remove_dir_all(&folder);
    let folder_name = folder.to_str().unwrap();
    let text = stdout(&bare(&["shaders", &model, "--only", "mat_", "--only", "q4_1", "--dump", folder_name]));
    for kernel in ["mat_vec+load/q4_1", "mat_vec_few+load/q4_1", "mat_mul+load/q4_1"] {
        assert!(text.contains(kernel), "{kernel} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.contains("mat_") && line.contains("q4_1")), "{text}");
    let written: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|e| std::fs::read_to_string(e.unwrap().path()).unwrap()).collect();
    assert_eq!(written.len(), text.lines().count());
    assert!(written.iter().all(|text| text.contains("fn main(")));
    let narrow = stdout(&run(&["shaders", &model, "--only", "mat_vec", "--profile", "lavapipe"]));
    assert!(narrow.contains("mat_vec_pairs"), "{narrow}");
    let checked = bare(&["shaders", &model, "--check"]);
    assert_eq!(stdout(&checked), "");
    assert!(String::from_utf8_lossy(&checked.stderr).contains("kernels keep to what "), "{checked:?}");
}

#[test]
fn kernels_of_every_op_are_measured_without_a_device() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("spirv");
    let _ = std::fs::remove_dir_all(&folder);
    let arguments = ["shaders", "--only", "mat_vec+load/q4_k", "--profile", "nvidia", "--json", "--as", "spirv", "--dump"];
    let reports = json(&bare(&[&arguments[..], &[folder.to_str().unwrap()]].concat()));
    let reports = reports.as_array().unwrap();
    assert!(!reports.is_empty());
    for report in reports {
        assert_eq!(report["profiles"], serde_json::json!(["nvidia"]));
        assert_eq!(report["loops_of_unknown_bounds"], 1);
        assert!(report["per_iteration_of_these"]["load16"].as_u64().unwrap() > 0, "{report}");
        assert!(report["targets"].as_object().unwrap().values().all(|verdict| verdict == "translated"), "{report}");
    }
    let written: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| std::fs::read(e.unwrap().path()).unwrap()).collect();
    assert_eq!(written.len(), reports.len());
    assert!(written.iter().all(|bytes| bytes.starts_with(&0x0723_0203_u32.to_le_bytes())));
    let (code, said) = failure(&run(&["shaders", "--profile", "abacus"]));
    assert!(code == 2 && said.contains("the devices are wide, ") && said.contains("swiftshader"), "{said}");
}

#[test]
fn a_cost_that_rose_fails_the_check() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shader_costs.txt");
    let text = std::fs::read_to_string(table).unwrap();
    let (name, costs) = text.lines().find(|line| line.starts_with("arg_max")).unwrap().split_once('\t').unwrap();
    let cheaper = text.replace(&format!("{name}\t{costs}"), &format!("{name}\t"));
    let table = file("cheaper.txt", cheaper.as_bytes());
    let output = bare(&["shaders", "--check", "--table", table.to_str().unwrap()]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{printed}");
    assert!(printed.lines().count() > 2 && printed.lines().all(|line| line.starts_with(name)), "{printed}");
    assert!(printed.contains(": loop.ints rose from 0 to "), "{printed}");
}

#[test]
fn files_are_inspected_without_a_device() {
    let Some(model) = model() else { return };
    let object = json(&run(&["inspect", &model, "--json", "--ctx", "1000"]));
    let metadata = &object["metadata"];
    assert_eq!((&metadata["llama.block_count"], &metadata["general.architecture"]), (&30.into(), &"llama".into()));
    assert_eq!(metadata["tokenizer.ggml.tokens"]["length"], 49152);
    assert_eq!((object["tensors"].as_array().unwrap().len(), &object["formats"]["Q4_1"]["tensors"]), (272, &210.into()));
    let memory = &object["memory"];
    // 16 pages of 64 positions, 30 layers, keys and values of 192 numbers.
    assert_eq!(memory["cache_f16"].as_u64(), Some(16 * 64 * 30 * 2 * 192 * 2));
    assert_eq!(memory["cache_f32"].as_u64(), Some(16 * 64 * 30 * 2 * 192 * 4));
    assert!((90 << 20..110 << 20).contains(&memory["weights"].as_u64().unwrap()), "{memory}");

    let unknown = file("mamba.gguf", &GgufWriter::new().str("general.architecture", "mamba").finish());
    let text = stdout(&run(&["inspect", unknown.to_str().unwrap()]));
    assert!(text.contains("general.architecture = mamba") && text.contains("cannot run the model"), "{text}");
}

#[test]
fn devices_are_listed() {
    let list = json(&run(&["devices", "--json"]));
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert_eq!(names.last(), Some(&"cpu"));
    assert!(stdout(&run(&["devices"])).lines().count() >= names.len());
}

#[test]
fn failures_have_their_codes_and_say_where() {
    let expect = |arguments: &[&str], code: i32, parts: &[&str]| {
        let (found, text) = failure(&run(arguments));
        assert_eq!(found, code, "{arguments:?}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    };
    expect(&["run", "absent.gguf", "hi"], 4, &["error: absent.gguf"]);
    let garbage = file("garbage.gguf", b"this is no model");
    expect(&["run", garbage.to_str().unwrap(), "hi"], 4, &["garbage.gguf", "byte 0"]);
    expect(&["run"], 2, &["MODEL"]);
    expect(&["score", "x.gguf"], 2, &["--text", "--ids"]);
    expect(&["run", "x.gguf", "hi", "--greedy", "--top-k", "3"], 2, &["--greedy", "--top-k"]);
    let Some(model) = model() else { return };
    let truncated = file("truncated.gguf", &std::fs::read(&model).unwrap()[..5000]);
    expect(&["inspect", truncated.to_str().unwrap()], 4, &["truncated.gguf", "byte"]);
    expect(&["run", truncated.to_str().unwrap(), "hi"], 4, &["truncated.gguf", "byte"]);
    expect(&["run", &model, "hi", "--device", "cpu", "--top-p", "7"], 2, &["top_p"]);
    expect(&["run", &model, "hi", "--device", "cpu", "--ctx", "3"], 2, &["context of 3"]);
    expect(&["run", &model, "hi", "--device", "cpu", "--ctx", "9000"], 2, &["8192"]);
    expect(
        &["run", &model, "hi", "--device", "no such adapter"],
        3,
        &["'no such adapter'", "mesa-vulkan-drivers", "--device cpu"],
    );
    expect(&["inspect", &model, "--ctx", "9000"], 2, &["8192"]);
    let bad = file("bad.json", b"{\"ids\": [1, -2]}");
    expect(&["score", &model, "--device", "cpu", "--ids", bad.to_str().unwrap()], 4, &["bad.json"]);
}

#[test]
fn without_any_driver_the_message_helps_and_the_cpu_answers() {
    let Some(model) = model() else { return };
    let (code, text) = failure(&bare(&["run", &model, FRANCE]));
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("no GPU device was found") && text.contains("mesa-vulkan-drivers") && text.contains("--device cpu"),
        "{text}"
    );
    let text = stdout(&bare(&["run", &model, "--device", "cpu", "--raw", "--greedy", "--max-tokens", "1", FRANCE]));
    assert_eq!(text, " Paris\n");
    assert!(stdout(&bare(&["devices"])).contains("cpu"));
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Waits for the first byte of the answer.
#[cfg(unix)]
fn begun(mut child: Child) -> Child {
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    child
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_a_text() {
    let Some(model) = model() else { return };
    let child = begun(piped(&["run", &model, "--device", "cpu", "--raw", "--max-tokens", "2000", FRANCE]));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("(interrupted)"), "{said}");
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_an_answer_but_not_the_conversation() {
    let Some(model) = model() else { return };
    let mut child = piped(&["chat", &model, "--device", "cpu", "--greedy", "--max-tokens", "2000"]);
    child.stdin.as_mut().unwrap().write_all(b"Write a long story.\n").unwrap();
    let child = begun(child);
    interrupt(&child);
    let output = feed(child, "/reset\nWhat is the capital of France?\n");
    assert!(stdout(&output).ends_with("\nThe capital of France is Paris.\n"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("(stopped)"));
}

#[test]
#[cfg(unix)]
fn closed_pipes_are_quiet() {
    let Some(model) = model() else { return };
    let mut child = begun(piped(&["run", &model, "--device", "cpu", "--raw", "--max-tokens", "2000", FRANCE]));
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));

    // Nor is it a failure that nobody reads the report.
    let mut child = piped(&["run", &model, "--device", "cpu", "--raw", "--max-tokens", "1", FRANCE]);
    drop(child.stderr.take());
    assert!(child.wait_with_output().unwrap().status.success());
}
