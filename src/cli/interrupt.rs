//! Ctrl-C as a question that is asked between steps.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of an interrupted run: 128 and the number of SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Whether Ctrl-C came.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches Ctrl-C from now on. With `insist` a second one, before the first was heard, ends the program at once.
    pub fn catch(insist: bool) -> Self {
        let came = Arc::new(AtomicBool::new(false));
        let flag = came.clone();
        let handler = move || {
            if flag.swap(true, Ordering::Relaxed) && insist {
                exit(INTERRUPTED.into());
            }
        };
        // Without a handler Ctrl-C ends the program, as it would anyway.
        if let Err(e) = ctrlc::set_handler(handler) {
            log::warn!("Ctrl-C is not caught: {e}");
        }
        Interrupt(came)
    }

    /// Whether it came since it was last forgotten.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Forgets one that came.
    pub fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
