//! Real ONNX models beside what onnxruntime computes for them, on the CPU reference and on devices.
//!
//! `scripts/make_onnx_goldens.py` made the goldens; `scripts/fetch.sh` fetches the models. A model that is not there is passed over
//! with a line that says so, and fails the test where `WAVELANE_REQUIRE_MODELS` is set. Large models are ignored by default:
//! `cargo test --release --features media --test onnx_models -- --ignored --nocapture`.

#[path = "../support/mod.rs"]
mod cache;
mod compare;
#[path = "../support/devices.rs"]
mod devices;
mod index;
mod inputs;
mod meaning;

use std::collections::BTreeMap;
use std::time::Instant;

use index::{Case, Content};
use wavelane::error::Result;
use wavelane::formats::ElementType;
use wavelane::formats::onnx::{Model, OnnxFile, ValueInfo, ValueKind};
use wavelane::onnx::{Array, Session};
use wavelane::session::Device;
use wavelane::tensor::Tensor;

/// Which devices a model is run on.
#[derive(Clone, Copy, PartialEq)]
enum On {
    /// The CPU reference, lavapipe and SwiftShader.
    All,
    /// Without SwiftShader, which takes long to compile many kernels.
    NotSwiftShader,
}

#[test]
fn magika_names_file_types() {
    check(&["magika_"], On::NotSwiftShader);
}

#[test]
fn silero_hears_speech() {
    check(&["silero_vad"], On::NotSwiftShader);
}

#[test]
fn silero_with_its_weights_in_nodes_hears_speech_everywhere() {
    check(&["silero_vad_openvino_16k"], On::All);
}

#[test]
fn lines_of_text_are_turned() {
    check(&["cls_"], On::All);
}

#[test]
fn text_is_read() {
    check(&["rec_"], On::NotSwiftShader);
}

#[test]
fn text_is_found() {
    check(&["det_"], On::NotSwiftShader);
}

#[test]
fn notes_are_heard() {
    check(&["basic_pitch_"], On::NotSwiftShader);
}

#[test]
fn small_image_classifiers_agree_also_inside() {
    check(&["light_squeezenet", "light_shufflenet"], On::NotSwiftShader);
}

#[test]
#[ignore = "takes minutes"]
fn large_image_classifiers_agree_also_inside() {
    let large = ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "vgg19", "zfnet512"];
    check(&large.map(|name| format!("light_{name}")).each_ref().map(String::as_str), On::NotSwiftShader);
}

#[test]
#[ignore = "a download of 90 MB, and takes a minute"]
fn a_vision_transformer_finds_what_matters() {
    check(&["vit_"], On::NotSwiftShader);
}

/// The devices that are there.
fn devices(on: On) -> Vec<Device> {
    let wanted = |gpu: &wavelane::gpu::Gpu| on == On::All || !gpu.info().name.contains("SwiftShader");
    let gpus = devices::open().into_iter().filter(wanted).map(Device::Gpu);
    std::iter::once(Device::Cpu).chain(gpus).collect()
}

/// Runs all cases whose names begin with one of `names`, those of one model in one session.
fn check(names: &[&str], on: On) {
    let mut cases = index::cases();
    cases.retain(|case| names.iter().any(|name| case.case.starts_with(name)));
    assert!(!cases.is_empty(), "no case is called {names:?}");
    let mut failures = Vec::new();
    for device in devices(on) {
        let mut sessions: BTreeMap<&str, Result<Session>> = BTreeMap::new();
        for case in &cases {
            if !sessions.contains_key(case.model.as_str()) {
                let Some(path) = cache::optional_model(&case.model, case.fetched_as()) else { continue };
                sessions.insert(&case.model, Session::new(tapped(OnnxFile::open(&path).unwrap().model, case), &device));
            }
            let outcome = match sessions.get_mut(case.model.as_str()) {
                Some(Ok(session)) => run_and_compare(case, session),
                Some(Err(e)) => Err(vec![e.to_string()]),
                None => continue,
            };
            match outcome {
                Ok(said) => println!("{} on {}: {said}", case.case, device.name()),
                Err(wrong) => failures.push(format!("{} on {}: {}", case.case, device.name(), wrong.join("\n    "))),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The model with the values inside it that the case looks at among its outputs.
fn tapped(mut model: Model, case: &Case) -> Model {
    let kind = ValueKind::Tensor { ty: ElementType::Float, shape: None };
    let taps = case.outputs.iter().filter(|o| o.tap);
    model.graph.outputs.extend(taps.map(|o| ValueInfo { name: o.name.clone(), kind: kind.clone() }));
    model
}

fn run_and_compare(case: &Case, session: &mut Session) -> Result<String, Vec<String>> {
    let began = Instant::now();
    let results = run(case, session).map_err(|e| vec![e.to_string()])?;
    let seconds = began.elapsed().as_secs_f64();
    let (worst, mut wrong) = compare::compare(case, &results, &inputs::arrays(case));
    wrong.extend(meaning::compare(case, session, &results));
    if wrong.is_empty() { Ok(format!("{worst:.3} of the tolerance, {seconds:.2} s")) } else { Err(wrong) }
}

/// All outputs by name.
fn run(case: &Case, session: &mut Session) -> Result<BTreeMap<String, Array>> {
    let mut given = inputs::of_case(case);
    let stream = case.inputs.iter().find_map(|input| match &input.content {
        Content::Stream(stream) => Some((&input.name, stream)),
        _ => None,
    });
    let Some((name, stream)) = stream else { return Ok(session.run(&given)?.into_iter().collect()) };
    let mut results = BTreeMap::new();
    let mut stacks: BTreeMap<&str, Vec<Array>> = BTreeMap::new();
    for chunk in inputs::chunks(stream) {
        given.insert(name.clone(), chunk);
        results = session.run(&given)?.into_iter().collect::<BTreeMap<_, _>>();
        for (input, output) in &stream.state {
            given.insert(input.clone(), results[output].clone());
        }
        for output in case.outputs.iter().filter(|o| o.stacked) {
            stacks.entry(&output.name).or_default().push(results[&output.name].clone());
        }
    }
    for (name, parts) in stacks {
        results.insert(name.to_owned(), joined(&parts)?);
    }
    Ok(results)
}

/// The arrays joined along axis 0.
fn joined(parts: &[Array]) -> Result<Array> {
    let mut shape = parts[0].tensor.shape().to_vec();
    shape[0] = parts.iter().map(|p| p.tensor.shape()[0]).sum();
    let values: Vec<f32> = parts.iter().flat_map(|p| p.tensor.to_f32()).collect();
    Ok(Array { ty: parts[0].ty, tensor: Tensor::f32(&shape, values)? })
}
