//! A session that sees ever new sizes needs no ever more memory, neither on the device nor on the host. On lavapipe the host's
//! memory is the device's too, so what the host counts holds for both. Alone in its file: the host counts per process.

#[path = "support/mod.rs"]
mod cache;
#[path = "support/devices.rs"]
mod devices;

use std::collections::BTreeMap;

use wavelane::formats::ElementType;
use wavelane::gpu::{Counters, Gpu};
use wavelane::onnx::{Array, Session};
use wavelane::session::Device;
use wavelane::tensor::Tensor;

/// Heights and widths, in steps of 32 pixels.
const SIZES: [[usize; 2]; 10] = [[1, 1], [1, 2], [2, 1], [2, 2], [2, 3], [3, 2], [3, 3], [1, 4], [4, 2], [3, 5]];
/// Stages that the session may keep, fewer than there are sizes.
const STAGES: usize = 4;
/// What the process may grow by in a round that only repeats the one before. The weights of one stage are about 10 MB, so ten
/// that stay would be well above.
const SLACK: u64 = 32 << 20;

#[test]
fn memory_stays_flat_whatever_sizes_come() {
    let Some(path) = cache::optional_model("ocr/PP-OCRv6_det_small.onnx", "ocr") else { return };
    for gpu in devices::open().into_iter().filter(|gpu| gpu.info().name.contains("llvmpipe")) {
        let mut session = Session::load(&path, &Device::Gpu(gpu.clone())).unwrap();
        session.keep_stages(STAGES);
        // The first round compiles kernels, which stay.
        round(&mut session);
        let (second, resident) = (round(&mut session), resident());
        let third = round(&mut session);
        assert_eq!(third, second, "bytes on the device after every size, beside those of the round before");
        let grown = self::resident().saturating_sub(resident);
        println!("{} bytes on the device at most, the process grew by {grown}", third.iter().max().unwrap());
        assert!(grown < SLACK, "the process grew by {grown} bytes");
        known_sizes_make_nothing(&mut session, &gpu);
    }
}

#[test]
fn the_weights_of_a_stage_go_with_it() {
    let Some(path) = cache::optional_model("silero-vad/silero_vad.onnx", "silero-vad") else { return };
    for gpu in devices::open() {
        // Each rate has a branch of the graph with weights of its own, over a megabyte.
        let mut session = Session::load(&path, &Device::Gpu(gpu)).unwrap();
        session.keep_stages(1);
        listen(&mut session, 16000);
        let one = session.bytes();
        session.keep_stages(4);
        listen(&mut session, 8000);
        let both = session.bytes();
        session.keep_stages(1);
        assert!(both - session.bytes() > 1 << 20, "{} bytes of {both} stay", session.bytes());
        for _ in 0..3 {
            listen(&mut session, 16000);
            assert_eq!(session.bytes(), one);
            listen(&mut session, 8000);
        }
    }
}

fn listen(session: &mut Session, rate: usize) {
    let floats = |shape: &[usize]| {
        let values = vec![0.1; shape.iter().product()];
        Array { ty: ElementType::Float, tensor: Tensor::f32(shape, values).unwrap() }
    };
    let sr = Array { ty: ElementType::Int64, tensor: Tensor::i64(&[], vec![rate as i64]).unwrap() };
    let inputs = [("input", floats(&[1, rate * 576 / 16000])), ("state", floats(&[2, 1, 128])), ("sr", sr)];
    session.run(&inputs.map(|(name, array)| (name.to_owned(), array)).into()).unwrap();
}

/// Runs all sizes; bytes on the device after each.
fn round(session: &mut Session) -> Vec<u64> {
    let run = |size: &[usize; 2]| {
        run(session, *size);
        session.bytes()
    };
    SIZES.iter().map(run).collect()
}

fn run(session: &mut Session, [height, width]: [usize; 2]) {
    let shape = [1, 3, 32 * height, 32 * width];
    let n: usize = shape.iter().product();
    let wave = (0..n).map(|i| (i as f32 * 0.01).sin()).collect();
    let array = Array { ty: ElementType::Float, tensor: Tensor::f32(&shape, wave).unwrap() };
    let results = session.run(&BTreeMap::from([("x".to_owned(), array)])).unwrap();
    assert_eq!(results[0].1.tensor.shape(), [1, 1, 32 * height, 32 * width]);
}

fn known_sizes_make_nothing(session: &mut Session, gpu: &Gpu) {
    let known = *SIZES.last().unwrap();
    run(session, known);
    let before = gpu.counters();
    run(session, known);
    let after = gpu.counters();
    assert_eq!(Counters { submits: before.submits, ..after }, before, "a size seen before makes nothing new");
}

/// Bytes of the process in memory.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
