//! A device whose driver gets a kernel wrong: the kernel is found before its first use, struck, and replaced by one that is right.

#[path = "support/devices.rs"]
mod devices;
#[path = "support/random.rs"]
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use random::{Numbers, weight_bytes};
use wavelane::dtype::DType;
use wavelane::error::Error;
use wavelane::gate;
use wavelane::gpu::{Allowance, Budget, Fill, Gpu, Record, Runner, Trial, WeightStore};
use wavelane::graph::{Graph, GraphBuilder};
use wavelane::kernel::Kernel;
use wavelane::kernel::caps::View;
use wavelane::ops::{MatMul, Op};
use wavelane::plan::{self, Request};
use wavelane::report::{VerifyReport, page};
use wavelane::shape::Symbols;
use wavelane::tensor::{Tensor, Weight};
use wavelane::verify::{self, Extent};

/// Enough time for everything.
const PATIENT: Budget = Budget { proving: LONG, tuning: Allowance::NONE };
const LONG: Allowance = Allowance::Time(Duration::from_secs(600));

fn request() -> Request {
    Request { symbols: Symbols::new(), outputs: vec![0] }
}

/// One op with inputs for it.
struct Case {
    graph: Arc<Graph>,
    inputs: Vec<Tensor>,
}

impl Case {
    /// The op takes f32 inputs of these shapes, then weights.
    fn new(op: impl Into<Op>, inputs: &[&[usize]], weights: &[(DType, &[usize])]) -> Self {
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
        Case { graph: Arc::new(b.finish().unwrap()), inputs: tensors }
    }
}

/// A kernel in which a fault is planted: of a graph of one node, under a view of the device.
struct Planted {
    kernel: Kernel,
    graph: usize,
    view: View,
    /// Whether another view leads to none of the node's kernels: a fault strikes all of them, since it does not say which it is.
    replaceable: bool,
}

/// For each shader that the planner could choose on a device the cheapest graph that has it, one where it can be replaced if there
/// is such.
fn one_of_each_shader(gpu: &Gpu, graphs: &[Graph]) -> BTreeMap<String, Planted> {
    let mut least: BTreeMap<String, ((bool, u64), Planted)> = BTreeMap::new();
    for view in gpu.info().caps.views() {
        let caps = gpu.info().caps.seen_as(view);
        for (graph, of) in graphs.iter().enumerate() {
            let problem = plan::problems(of, &Symbols::new(), &caps).unwrap().remove(0);
            let candidates = problem.candidates(&caps);
            let names = |at: usize| candidates[at].1.dispatches.iter().map(|d| d.kernel.name()).collect::<BTreeSet<_>>();
            let replaceable = (1..candidates.len()).any(|other| names(other).is_disjoint(&names(0)));
            let cost = (!replaceable, problem.flops());
            // Of rows with one element hardly anything can be wrong: a norm of it is 0, and its place too.
            if problem.inputs.first().is_some_and(|x| x.columns() <= 1) {
                continue;
            }
            for dispatch in &candidates[0].1.dispatches {
                let kernel = dispatch.kernel.clone();
                let known = least.get(&*kernel.shader);
                if known.is_none_or(|(other, _)| cost < *other) {
                    least.insert(kernel.shader.to_string(), (cost, Planted { kernel, graph, view, replaceable }));
                }
            }
        }
    }
    least.into_iter().map(|(shader, (_, planted))| (shader, planted)).collect()
}

fn names<'a>(shaders: Vec<(&'a String, &Planted)>) -> Vec<&'a str> {
    shaders.into_iter().map(|(shader, _)| shader.as_str()).collect()
}

/// One op on a device under one view, where one kernel is spoiled.
fn plant(gpu: &Gpu, graph: &Graph, Planted { kernel, view, replaceable, .. }: &Planted) {
    let planted = kernel.name();
    let device = gpu.with_caps(|caps| *caps = caps.seen_as(*view));
    let name = planted.clone();
    let broken = device.with_fault(move |kernel, source| if kernel.name() == name { spoiled(&source) } else { source });
    let trial = Trial::of_graph(graph, Fill::Units).unwrap();
    let shown = trial.check(&broken, &WeightStore::new(&broken)).map(|(_, worst)| worst);
    assert!(matches!(shown, Err(Error::Check(_))), "the fault planted in {planted} does not show: {shown:?}");
    struck_and_replaced(&broken, &trial, &planted, *replaceable);
}

/// The trial's node on a device that learns: the kernel is struck before its first use, and another one gives right results.
fn struck_and_replaced(broken: &Gpu, trial: &Trial, planted: &str, replaceable: bool) {
    let record = Arc::new(Record::new(PATIENT));
    let proving = broken.with_record(record.clone());
    let result = trial.check(&proving, &WeightStore::new(&proving));
    assert!(record.choices().struck.contains_key(planted), "{planted} is not struck");
    match result {
        Ok((plan, worst)) => {
            assert!(plan.dispatches().all(|d| d.kernel.name() != planted), "{planted} is still used");
            assert!(worst <= 1.0 && replaceable, "after striking {planted}: {worst}");
        }
        Err(e) => {
            assert!(!replaceable, "{planted} is not replaced: {e}");
            assert!(e.to_string().contains("every kernel for it is wrong or refused"), "{e}");
        }
    }
}

/// The source of a kernel that stores twice what it should, or one more where it stores atomically.
fn spoiled(source: &str) -> String {
    let is_storage = |array: &str| source.contains(&format!("var<storage, read_write> {array}:"));
    let array = |place: &str| place.split('[').next().unwrap_or_default().to_owned();
    let stored = |statement: &str| {
        let (place, value) = statement.split_once("] = ")?;
        is_storage(&array(place.lines().last()?.trim_start())).then(|| format!("{place}] = ({value}) + ({value})"))
    };
    let stored_atomically = |statement: &str| {
        let (call, value) = statement.rsplit_once(", ")?;
        let place = call.split_once("atomicStore(&").or_else(|| call.split_once("atomicMax(&"))?.1;
        is_storage(&array(place)).then(|| format!("{call}, 1u + {value}"))
    };
    let spoil = |statement: &str| stored(statement).or_else(|| stored_atomically(statement));
    let spoiled: Vec<String> = source.split(';').map(|s| spoil(s).unwrap_or_else(|| s.to_owned())).collect();
    let spoiled = spoiled.join(";");
    assert_ne!(spoiled, source, "there is no store to spoil");
    spoiled
}

/// A kernel that is cheap to run, and can be replaced.
fn product() -> Case {
    Case::new(MatMul::plain(), &[&[1, 256]], &[(DType::Q5_1, &[70, 256])])
}

#[test]
fn a_fault_in_any_shader_is_found_struck_and_replaced() {
    let graphs = gate::graphs();
    for gpu in devices::open() {
        let shaders = one_of_each_shader(&gpu, &graphs);
        assert!(shaders.len() > 55, "only {:?}", shaders.keys());
        shaders.values().for_each(|planted| plant(&gpu, &graphs[planted.graph], planted));
        let (replaced, alone): (Vec<_>, Vec<_>) = shaders.iter().partition(|(_, planted)| planted.replaceable);
        println!("{}: {} shaders replaced; without a replacement: {:?}", gpu.info().name, replaced.len(), names(alone));
        let replaced = names(replaced);
        let several =
            ["mat_vec_rows", "mat_vec", "mat_mul_rows", "mat_vec_few", "mat_mul", "batch_mat_mul", "conv_tiles", "softmax"];
        let missing: Vec<_> = several.iter().filter(|shader| !replaced.contains(shader)).collect();
        assert!(missing.is_empty(), "{missing:?} were not replaced on {}, only {replaced:?}", gpu.info().name);
    }
}

/// The same device, whose driver does not compile kernels of that shader.
fn refusing(gpu: &Gpu, shader: &'static str) -> Gpu {
    gpu.with_fault(move |kernel, source| if kernel.shader == shader { source.replace("fn main(", "fn other(") } else { source })
}

#[test]
fn a_kernel_that_the_driver_refuses_is_struck_and_replaced() {
    let case = product();
    for gpu in devices::open() {
        let caps = &gpu.info().caps;
        let plan = plan::compile(&case.graph, &Symbols::new(), caps).unwrap();
        let kernel = plan.dispatches().next().unwrap().kernel.clone();
        assert_eq!(kernel.shader, "mat_vec_rows");
        let refusing = refusing(&gpu, "mat_vec_rows");
        let trial = Trial::of_graph(&case.graph, Fill::Units).unwrap();

        // Without a record nothing can be struck: the error names the kernel.
        let error = trial.check(&refusing, &WeightStore::new(&refusing)).unwrap_err();
        assert!(matches!(&error, Error::Device { what, .. } if what.contains("mat_vec_rows")), "{error}");
        // With one, even where there is no time for comparing.
        for budget in [PATIENT, Budget::NONE] {
            let record = Arc::new(Record::new(budget));
            let learning = refusing.with_record(record.clone());
            let (plan, worst) = trial.check(&learning, &WeightStore::new(&learning)).unwrap();
            assert!(worst <= 1.0 && plan.dispatches().all(|d| d.kernel.shader != "mat_vec_rows"));
            let struck = record.choices().struck;
            assert!(struck[&kernel.name()].contains("does not compile"), "{struck:?}");
        }
        let record = Arc::new(Record::new(PATIENT));
        let learning = refusing.with_record(record.clone());
        let verdict = learning.verify(&trial, caps.views()[0], &WeightStore::new(&learning)).unwrap();
        assert_eq!(verdict.kernels, std::slice::from_ref(&kernel));
        assert!(verdict.outcome.unwrap_err().contains("does not compile"));
        assert!(record.choices().struck.contains_key(&kernel.name()));
    }
}

#[test]
fn a_refused_kernel_is_not_timed() {
    let case = product();
    let refusing = refusing(&devices::open()[0], "mat_vec_rows");
    let record = Arc::new(Record::new(Budget { tuning: LONG, ..PATIENT }));
    run(&refusing, &record, &case);
    assert_eq!(record.choices().fastest.len(), 1);
    let plan = plan::compile_with(&case.graph, &Symbols::new(), &refusing.info().caps, &record.choices()).unwrap();
    assert!(plan.dispatches().all(|d| d.kernel.shader != "mat_vec_rows"));
}

#[test]
fn a_verification_reports_what_it_struck() {
    let gpu = &devices::open()[0];
    let broken = gpu.with_fault(|kernel, source| match &*kernel.shader {
        "softmax" => spoiled(&source),
        "mat_vec_rows" => source.replace("fn main(", "fn other("),
        _ => source,
    });
    let record = Arc::new(Record::new(PATIENT));
    let (mut told, mut most) = (0, 0);
    let found = verify::verify(&broken.with_record(record.clone()), Extent::Quick, &mut |done, all| {
        assert_eq!(done, told);
        told += 1;
        most = all;
    });
    let report = VerifyReport::new(found.unwrap());
    let found = &report.found;
    assert_eq!((told, found.cases), (most + 1, most), "{}", report.summary());
    assert!(found.cases > 100 && found.kernels > 100, "{}", report.summary());
    let struck: BTreeSet<&str> = found.struck.keys().map(|name| name.split(['+', ' ']).next().unwrap()).collect();
    assert_eq!(struck.into_iter().collect::<Vec<_>>(), ["mat_vec_rows", "softmax"]);
    assert_eq!(found.struck.keys().collect::<Vec<_>>(), record.choices().struck.keys().collect::<Vec<_>>());
    for (name, struck) in &found.struck {
        let instead = struck.replacement.as_ref().unwrap_or_else(|| panic!("{name} is not replaced"));
        assert_ne!(instead, name);
    }
    for family in &found.families {
        assert_eq!(family.wrong > 0, ["mat_vec_rows", "softmax"].contains(&family.family.as_str()), "{family:?}");
        assert!(family.worst <= 1.0 && family.kernels > 0, "{family:?}");
    }
    let (text, page) = (report.to_text(), page::of_verify(&report));
    for shown in ["softmax", "mat_vec_rows", "does not compile", gpu.info().name.as_str()] {
        assert!(text.contains(shown), "{shown}: {text}");
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let back: VerifyReport = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
    assert_eq!(back, report);
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
    let case = &product();
    let open = |info| Arc::new(Record::open(&folder.0, info, PATIENT));
    let record = open(gpu.info());
    let first = run(gpu, &record, case);
    assert_ne!(record.left(), PATIENT, "nothing was compared");
    let text = std::fs::read_to_string(folder.file()).unwrap();
    assert!(text.contains("mat_vec_rows+load/q5_1"), "{text}");

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
fn a_budget_of_steps_does_not_look_at_the_clock() {
    let gpu = &devices::open()[0];
    let case = |dtype| Case::new(MatMul::plain(), &[&[5, 256]], &[(dtype, &[70, 256])]);
    let cases = [DType::Q4_0, DType::Q8_0, DType::Q6_K].map(case);
    let record = Arc::new(Record::new(Budget { proving: Allowance::Steps(2), tuning: Allowance::NONE }));
    for (case, left) in cases.iter().zip([1, 0, 0]) {
        run(gpu, &record, case);
        assert_eq!(record.left().proving, Allowance::Steps(left));
    }
    let folder = Folder::new("steps");
    let file = folder.0.join("record.json");
    record.save_as(&file).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    for (format, proven) in [("q4_0", true), ("q8_0", true), ("q6_k", false)] {
        assert_eq!(text.contains(&format!("load/{format}")), proven, "{format}: {text}");
    }

    let record = Arc::new(Record::new(Budget { proving: LONG, tuning: Allowance::Steps(2) }));
    for (case, known) in cases.iter().zip([1, 2, 2]) {
        run(gpu, &record, case);
        assert_eq!(record.choices().fastest.len(), known);
    }
}

#[test]
fn a_record_that_cannot_be_read_is_begun_anew() {
    let (gpu, folder) = (&devices::open()[0], Folder::new("malformed"));
    let case = &product();
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
    let hasty = Budget { proving: Allowance::Time(Duration::from_nanos(1)), tuning: LONG };
    let record = Arc::new(Record::new(hasty));
    run(gpu, &record, &product());
    assert!(record.choices().fastest.is_empty(), "{:?}", record.choices());
    assert_eq!(record.left().tuning, Allowance::NONE);
}

#[test]
fn tuned_choices_are_kept_heeded_and_handed_on() {
    let (gpu, folder) = (&devices::open()[0], Folder::new("tuned"));
    let budget = Budget { tuning: LONG, ..PATIENT };
    let case = &Case::new(MatMul::plain(), &[&[5, 256]], &[(DType::Q6_K, &[70, 256])]);
    let record = Arc::new(Record::new(budget));
    let tuned = run(gpu, &record, case);
    let choices = record.choices();
    assert_eq!(choices.fastest.len(), 1, "{choices:?}");
    let file = folder.0.join("choices.json");
    record.save_as(&file).unwrap();

    // Whatever was fastest: with the choices of the file nothing is timed and the same kernels run.
    let settled = Arc::new(Record::new(Budget::NONE));
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
