//! A device whose driver gets a kernel wrong: the kernel is found before its first use, struck, and replaced by one that is right.

#[path = "support/devices.rs"]
mod devices;
#[path = "support/random.rs"]
mod random;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use random::{Numbers, weight_bytes};
use wavelane::dtype::DType;
use wavelane::gpu::check::worst;
use wavelane::gpu::{Budget, Gpu, Record, Runner, WeightStore};
use wavelane::graph::interpreter::{self, States};
use wavelane::graph::{Graph, GraphBuilder, Origin, ValueId};
use wavelane::kernel::Expr;
use wavelane::ops::{BatchMatMul, Conv, Input, MatMul, Op, RmsNorm, Softmax};
use wavelane::plan::{self, Request};
use wavelane::shape::Symbols;
use wavelane::tensor::{Tensor, Weight};

/// Enough time for everything.
const PATIENT: Budget = Budget { proving: Duration::from_secs(600), tuning: Duration::ZERO };

fn request() -> Request {
    Request { symbols: Symbols::new(), outputs: vec![0] }
}

/// One op with inputs for it.
struct Case {
    name: &'static str,
    graph: Arc<Graph>,
    inputs: Vec<Tensor>,
}

impl Case {
    /// The op takes f32 inputs of these shapes, then weights.
    fn new(name: &'static str, op: impl Into<Op>, inputs: &[&[usize]], weights: &[(DType, &[usize])]) -> Self {
        let mut b = GraphBuilder::new();
        let mut tensors = Vec::new();
        let mut ids = Vec::new();
        for (i, shape) in inputs.iter().enumerate() {
            tensors.push(Tensor::f32(shape, Numbers::new(i as u64).units(shape.iter().product())).unwrap());
            ids.push(b.input(format!("input {i}"), DType::F32, *shape));
        }
        for (dtype, shape) in weights {
            let columns = shape[shape.len() - 1];
            let bytes = weight_bytes(*dtype, shape.iter().product::<usize>() / columns, columns, 5, 0.05);
            let end = bytes.len();
            ids.push(b.weight("weight", Weight::new(*dtype, shape, Arc::new(bytes), 0..end).unwrap()));
        }
        for out in b.node("node", op, &ids).unwrap() {
            b.output(out);
        }
        Case { name, graph: Arc::new(b.finish().unwrap()), inputs: tensors }
    }
}

/// One op on a device under one view, where one kernel is spoiled.
fn plant(gpu: &Gpu, case: &Case, planted: &str, replaceable: bool) {
    let (graph, inputs) = (&case.graph, &case.inputs);
    let name = planted.to_owned();
    let broken = gpu.with_fault(move |kernel, source| if kernel.name() == name { spoiled(&source) } else { source });
    let trusting = &mut Runner::new(&broken, graph.clone(), WeightStore::new(&broken)).unwrap();
    let shown = trusting.check(&request(), inputs, &mut |_| {});
    assert!(matches!(shown, Err(wavelane::Error::Check(_))), "the fault planted in {planted} does not show: {shown:?}");

    let record = Arc::new(Record::new(PATIENT));
    let proving = broken.with_record(record.clone());
    let mut runner = Runner::new(&proving, graph.clone(), WeightStore::new(&proving)).unwrap();
    let result = runner.run(&request(), inputs);
    assert!(record.choices().struck.contains_key(planted), "{planted} is not struck");
    if !replaceable {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("every kernel for it gives wrong results"), "{error}");
        return;
    }
    let found = result.unwrap();
    let plan = runner.plans().last().unwrap();
    assert!(plan.dispatches().all(|d| d.kernel.name() != planted), "{planted} is still used");
    let expected = interpreter::run(graph, &Symbols::new(), inputs.clone(), &mut States::zeros(graph).unwrap()).unwrap();
    let node = &graph.nodes[0];
    let operand = |id: &ValueId| match &graph.value(*id).origin {
        Origin::Weight(weight) => Input::Weight(weight.clone()),
        _ => inputs[graph.inputs.iter().position(|i| i == id).unwrap()].clone().into(),
    };
    let operands: Vec<Input> = node.inputs.iter().map(operand).collect();
    let tolerance = &node.op.rule().tolerance(&operands, &expected).unwrap()[0];
    let worst = worst(&found[0], &expected[0], tolerance).unwrap();
    assert!(worst.ratio() <= 1.0, "after striking {planted}: {worst}");
}

/// The source of a kernel that stores twice what it should.
fn spoiled(source: &str) -> String {
    let stored = |statement: &str| {
        let (place, value) = statement.split_once("] = ")?;
        let array = place.lines().last()?.trim_start().split('[').next()?;
        let storage = source.contains(&format!("var<storage, read_write> {array}:"));
        storage.then(|| format!("{place}] = ({value}) + ({value})"))
    };
    let spoiled: Vec<String> = source.split(';').map(|s| stored(s).unwrap_or_else(|| s.to_owned())).collect();
    let spoiled = spoiled.join(";");
    assert_ne!(spoiled, source, "there is no store to spoil");
    spoiled
}

/// Ops of the families that have more than one kernel, on shapes that lead to each.
fn cases() -> Vec<Case> {
    use DType::{F16, F32, Q4_1, Q6_K};
    let conv = |kernel: usize, groups| Conv {
        strides: vec![1, 1],
        pads_begin: vec![kernel / 2; 2],
        pads_end: vec![kernel / 2; 2],
        dilations: vec![1, 1],
        groups,
        tail: Expr::operand(0),
    };
    let plain = BatchMatMul::plain;
    vec![
        Case::new("a product of one token", MatMul::plain(), &[&[1, 256]], &[(Q4_1, &[70, 256])]),
        Case::new("a product of five", MatMul::plain(), &[&[5, 256]], &[(Q6_K, &[70, 256])]),
        Case::new("a product of many", MatMul::plain(), &[&[65, 64]], &[(F16, &[70, 64])]),
        Case::new("an outer product", plain(), &[&[33, 40], &[40, 36]], &[]),
        Case::new("a row by a matrix", plain(), &[&[1, 64], &[64, 128]], &[]),
        Case::new("3 x 3", conv(3, 1), &[&[1, 16, 9, 12]], &[(F32, &[32, 16, 3, 3])]),
        Case::new("1 x 1", conv(1, 1), &[&[1, 16, 9, 12]], &[(F32, &[32, 16, 1, 1])]),
        Case::new("3 x 3 by channel", conv(3, 8), &[&[1, 8, 9, 12]], &[(F32, &[8, 1, 3, 3])]),
        Case::new("softmax", Softmax { log: false }, &[&[3, 70]], &[]),
        Case::new("norm", RmsNorm { epsilon: 1e-5 }, &[&[3, 70]], &[(F32, &[70])]),
    ]
}

#[test]
fn a_fault_in_any_kernel_is_found_struck_and_replaced() {
    for gpu in devices::open() {
        let mut replaced = BTreeSet::new();
        for view in gpu.info().caps.views() {
            let device = gpu.with_caps(|caps| *caps = caps.seen_as(view));
            let caps = &device.info().caps;
            for case in cases() {
                let problems = plan::problems(&case.graph, &Symbols::new(), caps).unwrap();
                let candidates = problems[0].candidates(caps);
                let names = |at: usize| candidates[at].1.dispatches.iter().map(|d| d.kernel.name()).collect::<Vec<_>>();
                for planted in names(0) {
                    // A fault strikes all kernels of its node, since it does not say which of them it is.
                    let replaceable = (1..candidates.len()).any(|other| !names(other).iter().any(|k| names(0).contains(k)));
                    plant(&device, &case, &planted, replaceable);
                    if replaceable {
                        replaced.insert(candidates[0].1.dispatches[0].kernel.shader.to_string());
                    } else {
                        println!("{}: {} ({view}) has no replacement", gpu.info().name, case.name);
                    }
                }
            }
        }
        let expected =
            ["mat_vec_rows", "mat_vec", "mat_mul_rows", "mat_vec_few", "mat_mul", "batch_mat_mul", "conv_tiles", "softmax"];
        let missing: Vec<_> = expected.iter().filter(|shader| !replaced.contains(**shader)).collect();
        assert!(missing.is_empty(), "{missing:?} were never replaced on {}, only {replaced:?}", gpu.info().name);
    }
}

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wavelane-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// The only record in the folder of devices.
    fn file(&self) -> std::path::PathBuf {
        let files = std::fs::read_dir(self.0.join("devices")).unwrap().map(|f| f.unwrap().path());
        let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(gpu: &Gpu, record: &Arc<Record>, case: &Case) -> Tensor {
    let gpu = gpu.with_record(record.clone());
    let mut runner = Runner::new(&gpu, case.graph.clone(), WeightStore::new(&gpu)).unwrap();
    runner.run(&request(), &case.inputs).unwrap().remove(0)
}

#[test]
fn what_was_learnt_is_kept_for_the_same_driver_only() {
    let (gpu, folder) = (&devices::open()[0], Folder::new("record"));
    let case = &cases()[0];
    let open = |info| Arc::new(Record::open(&folder.0, info, PATIENT));
    let record = open(gpu.info());
    let first = run(gpu, &record, case);
    assert_ne!(record.left(), PATIENT, "nothing was compared");
    let text = std::fs::read_to_string(folder.file()).unwrap();
    assert!(text.contains("mat_vec_rows+load/q4_1"), "{text}");

    let again = open(gpu.info());
    assert_eq!(run(gpu, &again, case), first);
    assert_eq!(again.left(), PATIENT, "what was proven was compared again");

    let mut other = gpu.info().clone();
    other.driver += " of another version";
    let anew = open(&other);
    run(gpu, &anew, case);
    assert_ne!(anew.left(), PATIENT, "another driver was trusted");
}

#[test]
fn a_record_that_cannot_be_read_is_begun_anew() {
    let (gpu, folder) = (&devices::open()[0], Folder::new("malformed"));
    let case = &cases()[0];
    run(gpu, &Arc::new(Record::open(&folder.0, gpu.info(), PATIENT)), case);
    let file = folder.file();
    let sound = std::fs::read_to_string(&file).unwrap();
    for text in ["", "{", "[]", "{\"schema\": 7}", &sound.replace("\"schema\": 1", "\"schema\": 2"), &sound[..sound.len() / 2]] {
        std::fs::write(&file, text).unwrap();
        let record = Arc::new(Record::open(&folder.0, gpu.info(), PATIENT));
        run(gpu, &record, case);
        assert_ne!(record.left(), PATIENT, "{text}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), sound, "after {text}");
        let error = record.import(&folder.0).unwrap_err().to_string();
        assert!(error.contains("wavelane-malformed"), "{error}");
    }
}

#[test]
fn a_start_without_time_to_prove_times_nothing() {
    let gpu = &devices::open()[0];
    let hasty = Budget { proving: Duration::from_nanos(1), tuning: Duration::from_secs(600) };
    let record = Arc::new(Record::new(hasty));
    run(gpu, &record, &cases()[1]);
    assert!(record.choices().fastest.is_empty(), "{:?}", record.choices());
    assert_eq!(record.left().tuning, Duration::ZERO);
}

#[test]
fn tuned_choices_are_kept_heeded_and_handed_on() {
    let (gpu, folder) = (&devices::open()[0], Folder::new("tuned"));
    let budget = Budget { tuning: Duration::from_secs(600), ..PATIENT };
    let case = &cases()[1];
    let record = Arc::new(Record::new(budget));
    let tuned = run(gpu, &record, case);
    let choices = record.choices();
    assert_eq!(choices.fastest.len(), 1, "{choices:?}");
    let file = folder.0.join("choices.json");
    record.save_as(&file).unwrap();

    // Whatever was fastest: with the choices of the file nothing is timed and the same kernels run.
    let settled = Arc::new(Record::new(Budget { proving: Duration::ZERO, tuning: Duration::ZERO }));
    settled.import(&file).unwrap();
    assert_eq!(settled.choices(), choices);
    assert_eq!(run(gpu, &settled, case), tuned);

    // A view of which nobody would think on this device is heeded all the same.
    let caps = &gpu.info().caps;
    for view in caps.views() {
        let mut choices = choices.clone();
        choices.fastest.values_mut().for_each(|fastest| *fastest = view);
        let plan = plan::compile_with(&case.graph, &Symbols::new(), caps, &choices).unwrap();
        let expected = plan::compile(&case.graph, &Symbols::new(), &caps.seen_as(view)).unwrap();
        assert_eq!(plan.steps, expected.steps, "{view}");
    }
}
