//! Continues a text: `cargo run --release --example generate -- MODEL.gguf "The capital of France is" [DEVICE]`.

use std::io::Write;

use wavelane::generate::{Engine, Options, Request, Sampling};
use wavelane::session::Device;

fn main() -> wavelane::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, prompt, rest @ ..] = &arguments[..] else {
        eprintln!("usage: generate MODEL.gguf PROMPT [DEVICE]");
        std::process::exit(2);
    };
    let engine = Engine::open(model, Device::open(rest.first().map(String::as_str))?)?;
    let mut sequence = engine.sequence(&Options::default())?;
    let request = Request { max_tokens: 24, sampling: Sampling::greedy(), ..Request::default() };
    for piece in sequence.generate(prompt.as_str(), &request)? {
        print!("{}", piece?.text);
        let _ = std::io::stdout().flush();
    }
    println!();
    Ok(())
}
