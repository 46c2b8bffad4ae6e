//! Every format through a whole model, beside the reference; and that a reference check can fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use wavelane::dtype::DType;
use wavelane::error::Error;
use wavelane::formats::Gguf;
use wavelane::generate::{Engine, Options};
use wavelane::gpu::{Runner, WeightStore};
use wavelane::graph::Origin;
use wavelane::kernel::caps::Width;
use wavelane::models::{LanguageModel, Outputs};
use wavelane::plan::Request;
use wavelane::plan::passes::Precision;
use wavelane::session::Device;
use wavelane::session::pages::CacheShape;
use wavelane::shape::Symbols;
use wavelane::tensor::{Tensor, Weight};

use crate::devices;
use crate::tiny::Tiny;

pub fn engine(tiny: &Tiny, device: Device) -> Engine {
    let file = Gguf::from_bytes(tiny.gguf(), "tiny.gguf").unwrap();
    Engine::new(LanguageModel::from_gguf(file).unwrap(), device).unwrap()
}

#[test]
fn every_format_runs_a_model_beside_the_reference() {
    let ids: Vec<u32> = (0..21).map(|i| i * 11 % 257).collect();
    for dtype in DType::WEIGHTS {
        let wide = dtype.block().0 == 256;
        let tiny = Tiny {
            dtype,
            untied: wide,
            width: if wide { 256 } else { 64 },
            feed_forward: if wide { 512 } else { 96 },
            ..Tiny::default()
        };
        for gpu in devices::open() {
            let engine = engine(&tiny, Device::Gpu(gpu));
            let mut sequence = engine.sequence(&Options { chunk: 16, ..Options::default() }).unwrap();
            let steps = Arc::new(Mutex::new(0));
            let counted = steps.clone();
            sequence.check(move |_| *counted.lock().unwrap() += 1);
            let score = sequence.score(&ids, 5, &mut |_| {}).unwrap_or_else(|e| panic!("{dtype}: {e}"));
            assert!(score.nll.iter().all(|v| v.is_finite()), "{dtype}");
            assert_eq!((score.nll.len(), score.top.len()), (20, 21), "{dtype}");
            // Each step checks at least the nodes of two layers.
            assert!(*steps.lock().unwrap() > 2 * 2 * 10, "{dtype}: {} steps were checked", steps.lock().unwrap());
        }
    }
}

/// Both families of kernels, each node beside the reference in the same numbers.
#[test]
fn every_precision_runs_a_model_beside_the_reference() {
    let ids: Vec<u32> = (0..37).map(|i| i * 11 % 257).collect();
    let tiny = Tiny { dtype: DType::Q8_0, ..Tiny::default() };
    for (gpu, width) in devices::open().iter().flat_map(|gpu| [Width::Wide, Width::Narrow].map(|width| (gpu.clone(), width))) {
        let engine = engine(&tiny, Device::Gpu(gpu.with_caps(|c| c.width = width)));
        let scored = |precision| {
            let options = Options { chunk: 32, precision, ..Options::default() };
            let mut sequence = engine.sequence(&options).unwrap();
            sequence.check(|_| {});
            sequence.score(&ids, 0, &mut |_| {}).unwrap_or_else(|e| panic!("{precision:?}, {width:?}: {e}")).nll
        };
        let [float, half, bytes] = [Precision::F32, Precision::F16, Precision::Int8].map(scored);
        assert_ne!(float, bytes);
        assert_eq!(float != half, width == Width::Wide && gpu.info().caps.half, "f16 is used where it is there");
    }
}

/// Bytes that are other ones as long as `lies` holds: what a device gets and what the reference reads can differ.
struct TwoFaced {
    right: Vec<u8>,
    wrong: Vec<u8>,
    lies: AtomicBool,
}

impl AsRef<[u8]> for TwoFaced {
    fn as_ref(&self) -> &[u8] {
        if self.lies.load(Ordering::SeqCst) { &self.wrong } else { &self.right }
    }
}

/// The device gets other weights than the reference: the first node that reads them must be named.
#[test]
fn a_wrong_weight_is_found_and_named() {
    let (tiny, cache) = (Tiny::default(), CacheShape { slots: 1, context: 64 });
    let file = Gguf::from_bytes(tiny.gguf(), "tiny.gguf").unwrap();
    let (mut graph, _) = LanguageModel::from_gguf(file).unwrap().graph(&cache, DType::F16).unwrap();
    let at = graph.find("blk.1.attn_output.weight").unwrap();
    let Origin::Weight(weight) = &graph.value(at).origin else { panic!("not a weight") };
    let right = weight.bytes().to_vec();
    let mut wrong = right.clone();
    // The scale of the first block of row 3: 64 columns of Q4_1 are two blocks of 20 bytes.
    wrong[3 * 40..][..2].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
    let n = right.len();
    let bytes = Arc::new(TwoFaced { right, wrong, lies: AtomicBool::new(false) });
    graph.values[at.0].origin = Origin::Weight(Weight::new(weight.dtype(), weight.shape(), bytes.clone(), 0..n).unwrap());
    let graph = Arc::new(graph);

    let request = Request { symbols: Symbols::from([("T".into(), 1), ("R".into(), 1)]), outputs: vec![Outputs::BEST] };
    let u32s = |shape: &[usize], v: Vec<u32>| Tensor::u32(shape, v).unwrap();
    let inputs = [vec![7], vec![0], vec![0], vec![0], vec![0], vec![0]];
    let inputs: Vec<Tensor> = inputs.into_iter().enumerate().map(|(i, v)| u32s(if i == 3 { &[1, 1] } else { &[1] }, v)).collect();
    for gpu in devices::open() {
        let mut device = Runner::new(&gpu, graph.clone(), WeightStore::new(&gpu)).unwrap();
        bytes.lies.store(true, Ordering::SeqCst);
        device.prepare(&request, &mut |_, _| {}).unwrap();
        bytes.lies.store(false, Ordering::SeqCst);
        let error = device.check(&request, &inputs, &mut |_| {}).unwrap_err();
        let Error::Check(text) = &error else { panic!("{error}") };
        assert!(text.contains("MatMul 'blk.1.attn_output") && text.contains("element 3 "), "{text}");
    }
}
