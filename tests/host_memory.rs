//! Weights stay in their file: while a model is loaded, the host holds pieces of them, never all. Alone in its file, since bytes are
//! counted for the whole process. What a driver allocates is not among them.
#![cfg(feature = "text")]

#[path = "support/counting.rs"]
mod counting;
#[path = "support/devices.rs"]
mod devices;
#[allow(dead_code)]
#[path = "onnx_format/message.rs"]
mod message;
#[path = "support/mod.rs"]
mod support;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use message::{Message, external, model, node, tensor, value};
use wavelane::formats::ElementType;
use wavelane::generate::{Engine, Options};
use wavelane::gpu::{Budget, Record};
use wavelane::models::LanguageModel;
use wavelane::models::vocabulary::vocabulary_from_gguf;
use wavelane::onnx::{Array, Session};
use wavelane::session::Device;
use wavelane::tensor::Tensor;
use wavelane::tokenizer::Tokenizer;

/// What loading may take beside the tokenizer.
const MOST: usize = 100_000_000;

/// Tests count the whole process: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|e| e.into_inner())
}

/// Both devices, each with the time for learning that a user's start has.
fn learning() -> Vec<Device> {
    let with_record = |gpu: wavelane::gpu::Gpu| gpu.with_record(Arc::new(Record::new(Budget::default())));
    devices::open().into_iter().map(|gpu| Device::Gpu(with_record(gpu))).collect()
}

#[test]
fn a_language_model_is_loaded_in_pieces() {
    let _alone = alone();
    let Some(path) = support::model_path() else { return };
    let bytes = std::fs::metadata(&path).unwrap().len() as usize;
    for device in learning() {
        let model = LanguageModel::open(&path).unwrap();
        let (tokenizer, _) = counting::peak(|| Tokenizer::new(vocabulary_from_gguf(model.file()).unwrap()).unwrap());
        drop(model);
        let (all, _) = counting::peak(|| {
            let engine = Engine::new(LanguageModel::open(&path).unwrap(), device.clone()).unwrap();
            engine.sequence(&Options::default()).unwrap();
        });
        let beside = all.saturating_sub(tokenizer);
        println!("{}: {beside} bytes beside {tokenizer} of the tokenizer, for a file of {bytes}", device.name());
        // The pieces themselves are counted.
        assert!(all > 8 << 20, "the counters do not count: {all}");
        assert!(beside < MOST, "{}: {beside} bytes beside the tokenizer", device.name());
    }
}

/// Rows and columns of a matrix of 200 MB.
const K: usize = 4096;
const N: usize = 12288;
const BYTES: usize = K * N * 4;

/// A folder that goes away with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("wavelane-host-memory-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A model that multiplies by a matrix of zeros, which a file system need not store: in a file beside the model, or within it.
    fn write(&self, product: Message, dims: [usize; 2], inline: bool) -> PathBuf {
        let graph = Message::new().message(1, &product).text(2, "g");
        let graph = graph.message(11, &value("x", &[1, K as i64])).message(12, &value("y", &[1, N as i64]));
        let dims = dims.map(|d| d as i64);
        let path = self.0.join("model.onnx");
        if !inline {
            File::create(self.0.join("w.bin")).unwrap().set_len(BYTES as u64).unwrap();
            let weight = external(&dims, &[("location", "w.bin")]);
            std::fs::write(&path, model(&graph.message(5, &weight)).0).unwrap();
            return path;
        }
        // The zeros end the last field of each message.
        let tensor = tensor("w", 1, &dims).head(9, BYTES);
        let graph = Message([graph.head(5, tensor.0.len() + BYTES).0, tensor.0].concat());
        let opset = Message::new().text(1, "ai.onnx").int(2, 21);
        let model = Message::new().int(1, 10).message(8, &opset).head(7, graph.0.len() + BYTES);
        std::fs::write(&path, [model.0, graph.0].concat()).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() + BYTES as u64).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn onnx_weights_are_loaded_in_pieces() {
    let _alone = alone();
    let product = |op| node(op, &["x", "w"], &["y"]);
    let transposed = Message::new().text(1, "transB").int(3, 1).int(20, 2);
    let cases = [
        ("a product, its matrix beside the model", product("MatMul"), [K, N], false),
        ("a product, its matrix in the model", product("MatMul"), [K, N], true),
        ("Gemm", product("Gemm"), [K, N], false),
        ("Gemm with transB", product("Gemm").message(5, &transposed), [N, K], false),
    ];
    for (name, product, dims, inline) in cases {
        let folder = Folder::new();
        let path = folder.write(product, dims, inline);
        for device in learning() {
            let (most, sum) = counting::peak(|| {
                let mut session = Session::load(&path, &device).unwrap();
                let x = Array { ty: ElementType::Float, tensor: Tensor::f32(&[1, K], vec![1.0; K]).unwrap() };
                let results = session.run(&[("x".to_owned(), x)].into()).unwrap();
                results[0].1.tensor.as_f32().unwrap().iter().sum::<f32>()
            });
            println!("{name} on {}: {most} bytes", device.name());
            assert_eq!(sum, 0.0);
            assert!(most > 8 << 20, "the counters do not count: {most}");
            assert!(most < MOST, "{name} on {}: {most} bytes on the host", device.name());
        }
    }
}
