//! Chat templates: the parser. Rendering has a thread and a time limit of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavelane::generate::template::ChatTemplate;

fuzz_target!(|source: &str| {
    let _ = ChatTemplate::new(source, "<s>", "</s>");
});
