//! The default model: what a step costs, and rows split at a tiny binding limit.

use wavelane::dtype::DType;
use wavelane::generate::{Engine, Options, Prompt, Request, Sampling};
use wavelane::kernel::Caps;
use wavelane::models::{LanguageModel, Outputs};
use wavelane::plan;
use wavelane::plan::passes::{self, Precision};
use wavelane::session::Device;
use wavelane::session::pages::CacheShape;
use wavelane::shape::Symbols;

use crate::{devices, support};

const PROMPT: [u32; 5] = [504, 3575, 282, 4649, 314];

fn greedy(max_tokens: usize) -> Request {
    Request { max_tokens, sampling: Sampling::greedy(), ..Request::default() }
}

fn options() -> Options {
    Options { context: Some(128), ..Options::default() }
}

#[test]
fn a_decode_step_is_one_submit_and_creates_nothing() {
    let Some(path) = support::model_path() else { return };
    let gpu = devices::open().remove(0);
    let engine = Engine::open(path, Device::Gpu(gpu.clone())).unwrap();
    let mut sequence = engine.sequence(&options()).unwrap();
    for sampling in [Sampling::greedy(), Sampling::default()] {
        let request = Request { max_tokens: 12, sampling, ..Request::default() };
        let mut generation = sequence.generate(Prompt::Ids(PROMPT.to_vec()), &request).unwrap();
        // The first tokens make the plans of the prompt and of single tokens.
        generation.by_ref().take(3).for_each(|piece| drop(piece.unwrap()));
        let (before, mut steps) = (gpu.counters(), 0);
        for piece in generation.by_ref() {
            assert!(piece.unwrap().id.is_some());
            steps += 1;
        }
        let after = gpu.counters();
        assert!(steps >= 5, "only {steps} tokens came");
        // A greedy step is begun before the host sees the token before it, and so none when the last token is chosen.
        let ahead = u64::from(request.sampling == Sampling::greedy());
        assert_eq!(after.submits - before.submits, steps - ahead);
        assert_eq!((after.buffers, after.bind_groups, after.pipelines), (before.buffers, before.bind_groups, before.pipelines));
    }
}

#[test]
fn weights_split_at_a_tiny_limit_give_the_same_text() {
    let Some(path) = support::model_path() else { return };
    let model = LanguageModel::open(&path).unwrap();
    let gpu = devices::open().remove(0);
    let score = |gpu| {
        let engine = Engine::new(model.clone(), Device::Gpu(gpu)).unwrap();
        let mut sequence = engine.sequence(&options()).unwrap();
        let chunks = sequence.plan(1).unwrap().unwrap().dispatches().count();
        (sequence.score(&PROMPT, 4, &mut |_| {}).unwrap(), chunks)
    };
    let (whole, dispatches) = score(gpu.clone());
    // Four rows of logits take 768 KiB, so that both are scored in the same steps; the embedding takes 30 MB, each matrix of gates
    // and ups 864 KiB.
    let (split, more) = score(gpu.with_caps(|c| c.max_binding = 800 << 10));
    assert!(more > dispatches + 30 + 60, "{more} dispatches with the limit, {dispatches} without");
    assert_eq!(whole, split, "a split changes no bit");

    // One token in steps of one, with a limit below each product of a layer but one.
    let one = |gpu| {
        let engine = Engine::new(model.clone(), Device::Gpu(gpu)).unwrap();
        engine.sequence(&options()).unwrap().score(&PROMPT[..1], 4, &mut |_| {}).unwrap()
    };
    assert_eq!(one(gpu.clone()), one(gpu.with_caps(|c| c.max_binding = 200 << 10)), "a finer split changes no bit");
}

#[test]
fn activations_share_their_arena() {
    let Some(path) = support::model_path() else { return };
    let gpu = devices::open().remove(0);
    let engine = Engine::open(path, Device::Gpu(gpu)).unwrap();
    let mut sequence = engine.sequence(&options()).unwrap();
    let plan = sequence.plan(64).unwrap().unwrap();
    let (arena, sum) = (plan.arena_bytes, plan.unshared_bytes);
    assert!(arena * 20 < sum, "an arena of {arena} bytes for values of {sum}");
    // At its widest a layer holds the stream, its norm, and the gate while the product with `up` is made.
    assert!(arena >= 64 * 4 * (576 + 576 + 2 * 1536), "an arena of {arena} bytes is too small to be true");
    // The plan survives a trip to disk and back, and reads as text.
    let stored = serde_json::to_string(&*plan).unwrap();
    let back: wavelane::plan::Plan = serde_json::from_str(&stored).unwrap();
    assert_eq!(back, *plan);
    assert!(plan.to_string().contains("MatMul 'blk.29.ffn_down"));
}

/// On a GPU with nothing beyond the least: of each layer four products, each after one dispatch that makes bytes of its rows, with the
/// norm where there is one.
#[test]
fn norms_are_part_of_what_makes_bytes() {
    let Some(path) = support::model_path() else { return };
    let model = LanguageModel::open(&path).unwrap();
    let (mut graph, _) = model.graph(&CacheShape { slots: 1, context: 128 }, DType::F16).unwrap();
    assert_eq!(passes::set_precision(&mut graph, Precision::Int8).unwrap(), 30 * 4 + 1);
    let graph = passes::restrict(&graph, &[Outputs::BEST]).unwrap();
    let symbols = Symbols::from([("T".into(), 1), ("R".into(), 1)]);
    let plan = plan::compile(&graph, &symbols, &Caps::plain()).unwrap();
    let steps = |op: &str| plan.steps.iter().filter(|step| step.op == op).count();
    assert_eq!([steps("RmsNorm"), steps("QuantizeRows"), steps("QuantizedMatMul")], [0, 121, 121]);
    println!("{} dispatches for a token", plan.dispatches().count());
}

#[test]
fn the_reference_check_passes_on_the_default_model() {
    let Some(path) = support::model_path() else { return };
    let engine = Engine::open(path, Device::Gpu(devices::open().remove(0))).unwrap();
    let mut sequence = engine.sequence(&options()).unwrap();
    sequence.check(|_| {});
    let text: String = sequence.generate("The capital of France is", &greedy(2)).unwrap().map(|p| p.unwrap().text).collect();
    assert!(text.starts_with(" Paris"), "{text}");
}
