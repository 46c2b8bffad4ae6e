//! The same as `generate`, for async code, with a conversation instead of a text:
//! `cargo run --release --example stream -- MODEL.gguf "Name three colours." [DEVICE]`.

use std::io::Write;

use futures_lite::StreamExt;
use wavelane::generate::{Engine, Message, Options, Prompt, Request, Sampling};
use wavelane::session::Device;

fn main() -> wavelane::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, question, rest @ ..] = &arguments[..] else {
        eprintln!("usage: stream MODEL.gguf QUESTION [DEVICE]");
        std::process::exit(2);
    };
    let engine = Engine::open(model, Device::open(rest.first().map(String::as_str))?)?;
    let prompt = Prompt::Chat(vec![Message::new("user", question)]);
    let request = Request { max_tokens: 24, sampling: Sampling::greedy(), ..Request::default() };
    futures_lite::future::block_on(async {
        let mut pieces = engine.stream(prompt, request, Options::default());
        while let Some(piece) = pieces.next().await {
            print!("{}", piece?.text);
            let _ = std::io::stdout().flush();
        }
        println!();
        Ok(())
    })
}
