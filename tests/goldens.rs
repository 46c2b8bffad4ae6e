//! The default model against goldens that were computed elsewhere (f32, from dequantised weights), on every device.
//!
//! # Tolerances
//! The residual stream of 30 layers collects 60 block outputs. Each is a sum of up to 1536 products, whose relative error
//! is at most `sum_error(1536)` = 1.9e-5; independent errors add up as their root, so the stream is off by about
//! `sqrt(60) * 1.9e-5` = 1.5e-4 of its size, and logits (up to 30) by 4.4e-3, twice that against a golden with errors of
//! its own: 0.01. With keys and values in f16 each of 30 layers adds a rounding of 2^-11 of its attention output:
//! `sqrt(30) * 4.9e-4 * 30` = 0.08, and 0.1 with the above.
#![cfg(feature = "text")]

#[path = "support/devices.rs"]
mod devices;
mod support;

use serde::Deserialize;
use wavelane::DType;
use wavelane::generate::{Engine, Options, Prompt, Request, Sampling};
use wavelane::models::LanguageModel;
use wavelane::session::Device;

#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    ids: Vec<u32>,
    nll: Vec<f32>,
    mean_nll: f64,
    top16: Vec<Vec<(u32, f32)>>,
    greedy: Vec<u32>,
    greedy_margin: Vec<f32>,
}

/// Steps with a smaller margin between the two best tokens may fall out either way.
const MARGIN: f32 = 0.05;

fn goldens() -> Vec<Case> {
    let text = include_str!("data/goldens/smollm2-135m-instruct-q4_1.json");
    serde_json::from_str::<Goldens>(text).unwrap().cases
}

fn check(device: Device, cache: DType, logit_tolerance: f32, cases: usize) {
    let Some(path) = support::model_path() else { return };
    let engine = Engine::new(LanguageModel::open(&path).unwrap(), device).unwrap();
    let options = Options { context: Some(256), cache: Some(cache), chunk: 64, ..Options::default() };
    let mut sequence = engine.sequence(&options).unwrap();
    let label = format!("{} with a {cache} cache", engine.device().name());
    let mut worst = 0f32;
    for case in goldens().into_iter().take(cases) {
        let score = sequence.score(&case.ids, 16, &mut |_| {}).unwrap();
        assert_eq!(score.nll.len(), case.nll.len());
        let relative = (score.mean_nll() - case.mean_nll).abs() / case.mean_nll;
        assert!(relative < 1e-3, "{label}, {}: mean NLL {} against {}", case.name, score.mean_nll(), case.mean_nll);
        for (position, (found, expected)) in score.top.iter().zip(&case.top16).enumerate() {
            for ((_, found), (_, expected)) in found.iter().zip(expected) {
                worst = worst.max((found - expected).abs());
            }
            let place = format!("{label}, {} at {position}", case.name);
            assert_eq!((found.len(), expected.len()), (16, 16), "{place}");
            for (id, logit) in expected {
                // A token of the golden list is missing only where the last places are closer than the tolerance.
                let found = found.iter().find(|(other, _)| other == id).map_or(found[15].1, |(_, logit)| *logit);
                assert!((found - logit).abs() <= logit_tolerance, "{place}: token {id} has {found}, expected {logit}");
            }
        }
        let request = Request { max_tokens: case.greedy.len(), sampling: Sampling::greedy(), ..Default::default() };
        let mut generation = sequence.generate(Prompt::Ids(case.ids.clone()), &request).unwrap();
        generation.by_ref().for_each(|piece| drop(piece.unwrap()));
        let found = &generation.ids()[case.ids.len()..];
        let sure = case.greedy_margin.iter().position(|m| *m < MARGIN).unwrap_or(case.greedy.len());
        // The model may end the text where the golden goes on past an end token.
        let sure = sure.min(case.greedy.iter().position(|id| engine.tokenizer().is_end(*id)).unwrap_or(sure));
        assert_eq!(found[..sure.min(found.len())], case.greedy[..sure], "{label}, {}: greedy ids", case.name);
    }
    println!("{label}: worst difference of a place among the 16 best {worst:.2e}, allowed {logit_tolerance}");
    assert!(worst <= logit_tolerance);
}

#[test]
fn goldens_hold_on_the_cpu_reference() {
    check(Device::Cpu, DType::F32, 0.01, usize::MAX);
}

#[test]
fn goldens_hold_on_every_device() {
    for (i, gpu) in devices::open().into_iter().enumerate() {
        check(Device::Gpu(gpu.clone()), DType::F32, 0.01, usize::MAX);
        // The kernels that differ are proven per device elsewhere: all texts on the first device, one on slower ones.
        check(Device::Gpu(gpu), DType::F16, 0.1, if i == 0 { usize::MAX } else { 1 });
    }
}
