//! Sequences: chunks, caches, ends of text, cancellation, threads, async code, and a host's own device.

use std::collections::HashSet;
use std::sync::Arc;

use wavelane::dtype::DType;
use wavelane::error::Error;
use wavelane::generate::{Engine, FinishReason, Options, Prompt, Request, Sampling, Sequence, StopRules};
use wavelane::gpu::{Allowance, Budget, Gpu, Record};
use wavelane::session::Device;

use crate::devices;
use crate::steps;
use crate::steps::engine;
use crate::tiny::Tiny;

fn greedy(max_tokens: usize) -> Request {
    Request { max_tokens, sampling: Sampling::greedy(), ..Request::default() }
}

fn prompt(n: u32) -> Prompt {
    Prompt::Ids((0..n).map(|i| (i * 37 + 5) % 256).collect())
}

fn on_llvmpipe() -> Engine {
    engine(&Tiny::default(), Device::Gpu(devices::open().remove(0)))
}

fn ids(engine: &Engine, options: &Options, prompt: Prompt, request: &Request) -> Vec<u32> {
    let mut sequence = engine.sequence(options).unwrap();
    let mut generation = sequence.generate(prompt, request).unwrap();
    generation.by_ref().for_each(|piece| drop(piece.unwrap()));
    generation.ids().to_vec()
}

#[test]
fn chunks_of_any_size_and_a_longer_cache_give_one_text() {
    let cpu = engine(&Tiny::default(), Device::Cpu);
    let expected = ids(&cpu, &Options { chunk: 128, ..Options::default() }, prompt(83), &greedy(6));
    for engine in [cpu, on_llvmpipe()] {
        for chunk in [1, 2, 16, 64, 128] {
            let options = Options { chunk, cache: Some(DType::F32), ..Options::default() };
            assert_eq!(ids(&engine, &options, prompt(83), &greedy(6)), expected, "chunks of {chunk}");
        }
    }
}

/// The bits of what a model makes of a text: likelihoods, and the best tokens with their logits.
fn bits(sequence: &mut Sequence, ids: &[u32]) -> Vec<u32> {
    let score = sequence.score(ids, 4, &mut |_| {}).unwrap();
    let best = score.top.iter().flatten().flat_map(|(id, logit)| [*id, logit.to_bits()]);
    score.nll.iter().map(|x| x.to_bits()).chain(best).collect()
}

#[test]
fn reproducible_results_do_not_depend_on_how_they_came_about() {
    devices::open().into_iter().for_each(reproducible_on);
}

fn reproducible_on(gpu: Gpu) {
    let engine = engine(&Tiny::default(), Device::Gpu(gpu.clone()));
    let Prompt::Ids(text) = prompt(70) else { panic!() };
    let options = Options::default().reproducible();
    let expected = bits(&mut engine.sequence(&options).unwrap(), &text);
    assert!(expected.len() > 4 * text.len());
    // Longer steps would not do.
    let longer = bits(&mut engine.sequence(&Options::default()).unwrap(), &text);
    assert_ne!(longer, expected, "the mode has no effect that shows");

    // A longer context, a sequence that has run other texts, and several threads at once.
    let roomy = Options { context: Some(200), ..options.clone() };
    let mut sequence = engine.sequence(&roomy).unwrap();
    sequence.generate(prompt(33), &greedy(9)).unwrap().for_each(|piece| drop(piece.unwrap()));
    assert_eq!(bits(&mut sequence, &text), expected);
    std::thread::scope(|scope| {
        let one = || bits(&mut engine.sequence(&options).unwrap(), &text);
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), expected));
    });

    // Another start that heeds what was learnt: whatever runs fastest, results are those of all later starts.
    let tuning = Budget { proving: Allowance::NONE, tuning: Allowance::Steps(4) };
    let record = Arc::new(Record::new(tuning));
    let start = |record| steps::engine(&Tiny::default(), Device::Gpu(gpu.with_record(record)));
    bits(&mut start(record.clone()).sequence(&options).unwrap(), &text);
    assert!(!record.choices().fastest.is_empty());
    let file = std::env::temp_dir().join(format!("wavelane-learnt-{}-{}.json", std::process::id(), gpu.info().index));
    record.save_as(&file).unwrap();
    let later = || {
        let record = Arc::new(Record::new(Budget::NONE));
        record.import(&file).unwrap();
        bits(&mut start(record).sequence(&options).unwrap(), &text)
    };
    assert_eq!(later(), later());
    std::fs::remove_file(&file).unwrap();

    // Candidates are drawn from logits: what the cache held already must not change one.
    let drawn = |cached: u32| {
        let mut sequence = engine.sequence(&options).unwrap();
        if cached > 0 {
            sequence.generate(prompt(cached), &greedy(1)).unwrap().for_each(|piece| drop(piece.unwrap()));
        }
        let request = Request { max_tokens: 20, sampling: Sampling { seed: 3, ..Sampling::default() }, ..Request::default() };
        let mut generation = sequence.generate(prompt(40), &request).unwrap();
        generation.by_ref().for_each(|piece| drop(piece.unwrap()));
        (generation.ids().to_vec(), generation.statistics().prefill_tokens)
    };
    let (fresh, whole) = drawn(0);
    let (resumed, part) = drawn(25);
    assert_eq!((fresh, whole, part), (resumed, 40, 15));
}

#[test]
fn a_growing_prompt_runs_only_its_new_part() {
    let engine = on_llvmpipe();
    let mut sequence = engine.sequence(&Options::default()).unwrap();
    let first: Vec<u32> = {
        let mut generation = sequence.generate(prompt(40), &greedy(5)).unwrap();
        generation.by_ref().for_each(|piece| drop(piece.unwrap()));
        assert_eq!(generation.statistics().prefill_tokens, 40);
        generation.ids().to_vec()
    };
    let longer: Vec<u32> = first.iter().copied().chain([9, 8, 7]).collect();
    let again = {
        let mut generation = sequence.generate(Prompt::Ids(longer.clone()), &greedy(5)).unwrap();
        generation.by_ref().for_each(|piece| drop(piece.unwrap()));
        // The last token that was chosen had not been run.
        assert_eq!(generation.statistics().prefill_tokens, 4);
        generation.ids().to_vec()
    };
    assert_eq!(again, ids(&engine, &Options::default(), Prompt::Ids(longer), &greedy(5)));
}

#[test]
fn a_step_begun_ahead_of_another_text_leaves_no_trace() {
    let engine = on_llvmpipe();
    let mut sequence = engine.sequence(&Options::default()).unwrap();
    let text = ids(&engine, &Options::default(), prompt(9), &greedy(12));
    for taken in [2, 3, 7] {
        let mut generation = sequence.generate(prompt(9), &greedy(12)).unwrap();
        generation.by_ref().take(taken).for_each(|piece| drop(piece.unwrap()));
        let so_far = generation.ids().to_vec();
        assert_eq!(so_far, text[..9 + taken]);
        drop(generation);
        // Another token than the best takes the place of the one that the step under way has read.
        let other = (so_far[so_far.len() - 1] + 1) % 256;
        let changed = [&so_far[..so_far.len() - 1], &[other]].concat();
        let expected = ids(&engine, &Options::default(), Prompt::Ids(changed.clone()), &greedy(6));
        let mut generation = sequence.generate(Prompt::Ids(changed), &greedy(6)).unwrap();
        generation.by_ref().for_each(|piece| drop(piece.unwrap()));
        assert_eq!(generation.ids(), expected, "after {taken} tokens");
        drop(generation);
        // The same text goes on from where it was left.
        let mut generation = sequence.generate(Prompt::Ids(so_far), &greedy(12 - taken)).unwrap();
        generation.by_ref().for_each(|piece| drop(piece.unwrap()));
        assert_eq!(generation.ids(), text, "after {taken} tokens");
    }
}

#[test]
fn a_dropped_generation_leaves_a_usable_sequence() {
    let engine = on_llvmpipe();
    let mut sequence = engine.sequence(&Options::default()).unwrap();
    sequence.generate(prompt(20), &greedy(50)).unwrap().take(2).for_each(|piece| drop(piece.unwrap()));
    let mut generation = sequence.generate(prompt(11), &greedy(4)).unwrap();
    generation.by_ref().for_each(|piece| drop(piece.unwrap()));
    assert_eq!(generation.ids(), ids(&engine, &Options::default(), prompt(11), &greedy(4)));
}

#[test]
fn texts_end_at_stops_lengths_and_the_context() {
    let engine = on_llvmpipe();
    let options = Options { context: Some(24), ..Options::default() };
    let mut sequence = engine.sequence(&options).unwrap();
    let mut finish = |n, request: &Request| {
        let mut generation = sequence.generate(prompt(n), request).unwrap();
        generation.by_ref().for_each(|piece| drop(piece.unwrap()));
        (generation.finish_reason(), generation.ids().len())
    };
    assert_eq!(finish(8, &greedy(3)), (Some(FinishReason::Length), 11));
    assert_eq!(finish(20, &greedy(100)), (Some(FinishReason::Context), 24));
    let all = StopRules { tokens: (0..257).collect(), ..StopRules::default() };
    assert_eq!(finish(8, &Request { stop: all, ..greedy(9) }), (Some(FinishReason::Stop), 8));
    let long = sequence.generate(prompt(25), &greedy(1)).err().unwrap();
    assert!(matches!(&long, Error::Request(text) if text.contains("context of 24")), "{long}");
    assert!(matches!(sequence.generate(Prompt::Ids(vec![]), &greedy(1)).err(), Some(Error::Request(_))));
    let unknown = sequence.generate(Prompt::Ids(vec![999]), &greedy(1)).unwrap().next().unwrap().unwrap_err();
    assert!(matches!(&unknown, Error::Request(text) if text.contains("token 999")), "{unknown}");
    let mut far: Vec<u32> = vec![3; 20];
    far[17] = u32::MAX;
    let unknown = sequence.score(&far, 0, &mut |_| {}).unwrap_err();
    assert!(matches!(&unknown, Error::Request(text) if text.contains("vocabulary")), "{unknown}");
    let options = [Options { context: Some(513), ..Options::default() }, Options { chunk: 3, ..Options::default() }];
    let refused = |o: &Options| matches!(engine.sequence(o).err(), Some(Error::Request(_)));
    assert!(options.iter().all(refused));
}

#[test]
fn samples_depend_on_the_seed_alone() {
    let engine = on_llvmpipe();
    let with = |seed, top_k| {
        let sampling = Sampling { seed, top_k, temperature: 2.0, min_p: 0.0, repetition_penalty: 1.1, ..Sampling::default() };
        ids(&engine, &Options::default(), prompt(9), &Request { max_tokens: 12, sampling, ..Request::default() })
    };
    assert_eq!(with(7, 40), with(7, 40));
    let different: HashSet<Vec<u32>> = (0..6).map(|seed| with(seed, 40)).collect();
    assert!(different.len() >= 5, "six seeds gave {} texts", different.len());
    // All logits are read back where no filter narrows them.
    assert_eq!(with(7, 0).len(), 21);
}

#[test]
fn one_engine_serves_many_threads() {
    let engine = on_llvmpipe();
    let expected: Vec<Vec<u32>> = (1..5).map(|n| ids(&engine, &Options::default(), prompt(n * 9), &greedy(4))).collect();
    let found: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let run = |n: u32| {
            let engine = engine.clone();
            scope.spawn(move || ids(&engine, &Options::default(), prompt(n * 9), &greedy(4)))
        };
        let threads: Vec<_> = (1..5).map(run).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(found, expected);
}

#[test]
fn async_code_gets_the_same_text() {
    use futures_lite::StreamExt;
    let engine = on_llvmpipe();
    let expected = ids(&engine, &Options::default(), prompt(9), &greedy(5));
    let stream = engine.stream(prompt(9), greedy(5), Options::default());
    let pieces: Vec<_> = futures_lite::future::block_on(stream.collect());
    let found: Vec<u32> = pieces.into_iter().filter_map(|piece| piece.unwrap().id).collect();
    assert_eq!(found, expected[9..]);
    // A stream that nobody reads to the end stops by itself, and errors are items.
    drop(engine.stream(prompt(9), greedy(400), Options::default()));
    let errors: Vec<_> =
        futures_lite::future::block_on(engine.stream(Prompt::Ids(vec![]), greedy(1), Options::default()).collect());
    assert!(matches!(&errors[..], [Err(Error::Request(_))]));
}

#[test]
fn a_hosts_own_device_is_used() {
    let ours = on_llvmpipe();
    let Device::Gpu(gpu) = ours.device() else { panic!("not a GPU") };
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|a| a.get_info().name == gpu.info().name).unwrap();
    let open = |limits| {
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
        pollster::block_on(adapter.request_device(&descriptor)).unwrap()
    };
    let (device, queue) = open(adapter.limits());
    let host = engine(&Tiny::default(), Device::Gpu(Gpu::from_wgpu(device, queue).unwrap()));
    let text = |engine: &Engine| ids(engine, &Options::default(), prompt(9), &greedy(5));
    assert_eq!(text(&host), text(&ours));
    // A device with fewer storage buffers than kernels bind is refused.
    let (device, queue) = open(wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..wgpu::Limits::downlevel_defaults() });
    assert!(matches!(Gpu::from_wgpu(device, queue).err(), Some(Error::NoDevice(_))));
}

#[test]
fn a_lost_device_is_an_error() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|a| a.get_info().name.contains("llvmpipe")).unwrap();
    let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let engine = engine(&Tiny::default(), Device::Gpu(Gpu::from_wgpu(device.clone(), queue).unwrap()));
    let mut sequence = engine.sequence(&Options::default()).unwrap();
    let mut generation = sequence.generate(prompt(9), &greedy(5)).unwrap();
    assert!(generation.next().unwrap().is_ok());
    device.destroy();
    let error = generation.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Device { .. }), "{error}");
    assert!(generation.next().is_none(), "a failed text has ended");
    let error = engine.sequence(&Options::default()).err().unwrap();
    assert!(matches!(error, Error::Device { .. }), "{error}");
}

#[test]
fn engines_and_sequences_cross_threads() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}
    let engine = engine(&Tiny::default(), Device::Cpu);
    let sequence = engine.sequence(&Options::default()).unwrap();
    send(&engine);
    sync(&engine);
    send(&sequence);
}
