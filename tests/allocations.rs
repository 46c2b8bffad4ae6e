//! No file makes the reader allocate more than a small multiple of its own size, whatever it claims.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/gguf_writer.rs"]
mod gguf_writer;
#[path = "support/random.rs"]
mod random;
#[path = "support/tiny.rs"]
mod tiny;

use gguf_writer::{GgufWriter, array_header, string};
use tiny::Tiny;
use wavelane::formats::Gguf;
use wavelane::models::LanguageModel;

/// Bytes that reading the numbers of `file` takes at the peak, beyond the file itself.
fn peak(file: Vec<u8>) -> usize {
    counting::peak(|| drop(Gguf::from_bytes(file, "test.gguf").and_then(LanguageModel::from_gguf))).0
}

/// A one-threaded binary: the counters see nothing but the reader.
#[test]
fn claims_do_not_allocate() {
    let whole = Tiny::default().gguf();
    let mut files: Vec<Vec<u8>> = (0..100).map(|percent| whole[..whole.len() * percent / 100].to_vec()).collect();
    // Arrays, strings and tables that claim to be enormous.
    for count in [u64::MAX, 1 << 60, 1 << 32, 1 << 28] {
        for kind in 0..13 {
            files.push(GgufWriter::new().raw_value(b"a", 9, &array_header(kind, count)).finish());
        }
        files.push(GgufWriter::new().raw_value(b"a", 8, &count.to_le_bytes()).finish());
        for at in [8, 16] {
            let mut header = whole.clone();
            header[at..at + 8].copy_from_slice(&count.to_le_bytes());
            files.push(header);
        }
    }
    assert_eq!(string(b"ab").len(), 10);
    let sound = peak(whole.clone());
    assert!(sound > 10_000, "the counters do not count: {sound}");
    for (i, file) in files.into_iter().enumerate() {
        let (size, peak) = (file.len(), peak(file));
        // Parsed keys, names and tokens cost some bytes beside those in the file.
        assert!(peak <= 8 * size + 4096, "file {i} of {size} bytes took {peak}");
    }
}
