//! A language model as a whole, beside the device's roof: `cargo bench --bench language`.
//!
//! The model is `WAVELANE_MODEL`, by default SmolLM2-135M Q4_1 as `scripts/fetch.sh smollm2` fetches it; `WAVELANE_DEVICE` picks
//! the device. After `--`, a word such as `prefill` measures only what has it in its name, `--json` prints one JSON object
//! instead of a table, and `--cpu` measures the CPU reference too, which takes minutes.
//!
//! Every token that is decoded reads all weights once, so decoding is given beside the read roof by the packed bytes of the
//! weights. A prompt uses each weight many times and is given beside the arithmetic roof by the operations of its products.

#[path = "../tests/support/mod.rs"]
mod models;
mod support;

use serde_json::json;
use support::table::{Cell, Table};
use support::{Arguments, Result, device, print_head, roofs};
use wavelane::generate::{Engine, Options, Prompt, Request, Sampling, Sequence};
use wavelane::measure::timing::Sample;
use wavelane::measure::{Effort, Roofs};
use wavelane::plan::Plan;
use wavelane::session::Device;
use wavelane::tokenizer::Special;

/// Tokens that are decoded after the first.
const DECODED: usize = 64;
/// Tokens that a sequence has room for.
const CONTEXT: usize = 1024;
/// What prompts are cut from, repeated as often as needed.
const TEXT: &str = "The lighthouse keeper wrote down every ship that passed, its name, its flag and the hour, and at the end of \
                    the month he rowed to the harbour and read the list to whoever would listen. ";

fn main() -> Result<()> {
    let arguments = Arguments::parse(&["--json", "--cpu"])?;
    let Some(path) = models::model_path() else { return Ok(()) };
    let gpu = device()?;
    let roof = roofs(&gpu)?;
    if !arguments.json {
        print_head(gpu.info(), &roof);
    }
    let columns = &[
        ("task", 20),
        ("on", 3),
        ("tok/s", 9),
        ("spread %", 8),
        ("rate", 8),
        ("unit", 7),
        ("% of roof", 9),
        ("dispatches", 10),
        ("host us", 8),
        ("MiB", 8),
    ];
    let mut table = Table::new(columns, arguments.json);
    let mut targets = vec![(Device::Gpu(gpu.clone()), Some(&roof))];
    if arguments.cpu {
        targets.push((Device::Cpu, None));
    }
    for (target, roof) in targets {
        let mut bench = Bench::new(Engine::open(&path, target)?, roof)?;
        for task in [Task::Prefill(64), Task::Prefill(512), Task::Decode].into_iter().filter(|t| arguments.wants(&t.name())) {
            table.row(bench.measure(task)?);
        }
    }
    if arguments.json {
        let model = path.file_name().map(|name| name.to_string_lossy());
        println!("{}", json!({ "model": model, "device": gpu.info(), "roof": roof, "tasks": table.into_json() }));
    }
    Ok(())
}

/// What is timed.
#[derive(Clone, Copy)]
enum Task {
    /// A prompt of so many tokens, up to the first token that follows.
    Prefill(usize),
    /// [`DECODED`] tokens, one at a time, after a prompt of 64 and the first token.
    Decode,
}

impl Task {
    fn name(self) -> String {
        match self {
            Task::Prefill(n) => format!("prefill {n}"),
            Task::Decode => format!("decode {DECODED} after 64"),
        }
    }
}

struct Bench<'a> {
    sequence: Sequence,
    chunk: usize,
    roof: Option<&'a Roofs>,
}

impl<'a> Bench<'a> {
    fn new(engine: Engine, roof: Option<&'a Roofs>) -> Result<Self> {
        let options = Options { context: Some(engine.model().context().min(CONTEXT)), ..Options::default() };
        Ok(Bench { sequence: engine.sequence(&options)?, chunk: options.chunk, roof })
    }

    /// One row of the table.
    fn measure(&mut self, task: Task) -> Result<Vec<Cell>> {
        let (tokens, step) = match task {
            Task::Prefill(n) => (n, n.min(self.chunk)),
            Task::Decode => (DECODED, 1),
        };
        self.run(task)?; // uploads weights, makes pipelines, learns the pace
        let mut host = Vec::new();
        let sample = Sample::take(Effort::FULL.runs, || {
            let (seconds, on_host) = self.run(task)?;
            host.extend(on_host);
            Ok::<_, Box<dyn std::error::Error>>(seconds)
        })?;
        host.sort_by(f64::total_cmp);
        let steps_per_second = tokens as f64 / step as f64 / sample.median;
        let plan = self.sequence.plan(step)?;
        let [rate, unit, share] = match (&plan, self.roof) {
            (Some(plan), Some(roof)) => {
                let (amount, unit, most) = match task {
                    Task::Prefill(_) => (product_operations(plan), "GFLOP/s", roof.f32_flops),
                    Task::Decode => (plan.weight_bytes_read(), "GB/s", roof.memory.read),
                };
                let rate = amount as f64 * steps_per_second;
                [Cell::Number(rate / 1e9, 2), unit.into(), Cell::Number(rate / most * 100.0, 1)]
            }
            _ => [Cell::Absent, Cell::Absent, Cell::Absent],
        };
        let memory = self.sequence.engine().weights().map(|weights| (weights.bytes() + self.sequence.bytes()) as f64);
        let on = if matches!(self.sequence.engine().device(), Device::Cpu) { "CPU" } else { "GPU" };
        Ok(vec![
            Cell::Text(task.name()),
            on.into(),
            Cell::Number(tokens as f64 / sample.median, 2),
            Cell::Number(sample.spread * 100.0, 1),
            rate,
            unit,
            share,
            plan.map_or(Cell::Absent, |plan| Cell::Number(plan.dispatches().count() as f64, 0)),
            host.get(host.len() / 2).map_or(Cell::Absent, |seconds| Cell::Number(seconds * 1e6, 0)),
            memory.map_or(Cell::Absent, |bytes| Cell::Number(bytes / f64::from(1 << 20), 1)),
        ])
    }

    /// Seconds of the task in an empty sequence; in decoding on Linux also those per token that this thread was on a processor:
    /// recording, submitting, reading the result, turning it into text. The device has threads of its own.
    fn run(&mut self, task: Task) -> Result<(f64, Option<f64>)> {
        self.sequence.truncate(0);
        let (prompt, max_tokens) = match task {
            Task::Prefill(n) => (n, 1),
            Task::Decode => (64, 1 + DECODED),
        };
        let prompt = self.sequence.engine().tokenizer().encode(&TEXT.repeat(prompt / 16), Special::TEXT)?[..prompt].to_vec();
        let request = Request { max_tokens, sampling: Sampling::greedy(), ..Request::default() };
        let mut generation = self.sequence.generate(Prompt::Ids(prompt), &request)?;
        generation.next().transpose()?;
        let before = thread_seconds();
        generation.by_ref().try_for_each(|piece| piece.map(|_| ()))?;
        let host = before.zip(thread_seconds()).map(|(before, after)| (after - before) / DECODED as f64);
        let statistics = generation.statistics();
        match task {
            Task::Prefill(_) => Ok((statistics.prefill.as_secs_f64(), None)),
            Task::Decode if statistics.decode_tokens == DECODED => Ok((statistics.decode.as_secs_f64(), host)),
            Task::Decode => Err(format!("the model ended its text after {} tokens", statistics.decode_tokens + 1).into()),
        }
    }
}

/// Seconds that this thread has been on a processor, where the system says so.
fn thread_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds * 1e-9)
}

/// Operations of all products of a step.
fn product_operations(plan: &Plan) -> u64 {
    plan.steps.iter().filter(|step| step.op == "MatMul").map(|step| step.flops).sum()
}
