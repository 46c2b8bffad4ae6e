//! No file makes the reader allocate more than a small multiple of its own size, whatever it claims.

#[path = "support/gguf_writer.rs"]
mod gguf_writer;
#[path = "support/random.rs"]
mod random;
#[path = "support/tiny.rs"]
mod tiny;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use gguf_writer::{GgufWriter, array_header, string};
use tiny::Tiny;
use wavelane::formats::Gguf;
use wavelane::models::LanguageModel;

/// Counts live bytes and their peak.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the trait is unsafe; every call is handed on to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that reading the numbers of `file` takes at the peak, beyond the file itself.
fn peak(file: Vec<u8>) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    drop(Gguf::from_bytes(file, "test.gguf").and_then(LanguageModel::from_gguf));
    PEAK.load(Ordering::Relaxed) - before
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
