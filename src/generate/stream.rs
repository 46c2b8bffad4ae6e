//! Generation for async code: a thread generates, a [`Stream`] hands the pieces over.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::engine::{Engine, Options};
use super::generation::{Piece, Prompt, Request};
use crate::error::Result;

/// Pieces of a text that a thread is generating. Dropping it ends the thread at the next token.
pub struct TextStream(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    pieces: VecDeque<Result<Piece>>,
    waker: Option<Waker>,
    done: bool,
    dropped: bool,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(|e| e.into_inner())
}

/// Marks the end of the text however the thread ends.
struct Done(Arc<Mutex<Shared>>);

impl Drop for Done {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.done = true;
        let waker = shared.waker.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Engine {
    /// Generates text after `prompt` in a sequence and a thread of its own. Errors, also of the options, are items of the
    /// stream.
    pub fn stream(&self, prompt: impl Into<Prompt>, request: Request, options: Options) -> TextStream {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (engine, prompt, done) = (self.clone(), prompt.into(), Done(shared.clone()));
        std::thread::spawn(move || {
            if let Err(e) = generate(&engine, prompt, &request, &options, &done.0) {
                push(&done.0, Err(e));
            }
        });
        TextStream(shared)
    }
}

fn generate(engine: &Engine, prompt: Prompt, request: &Request, options: &Options, shared: &Mutex<Shared>) -> Result<()> {
    let mut sequence = engine.sequence(options)?;
    for piece in sequence.generate(prompt, request)? {
        if !push(shared, Ok(piece?)) {
            break;
        }
    }
    Ok(())
}

/// Hands a piece over; false when nobody wants it any more.
fn push(shared: &Mutex<Shared>, piece: Result<Piece>) -> bool {
    let mut shared = lock(shared);
    shared.pieces.push_back(piece);
    let (waker, wanted) = (shared.waker.take(), !shared.dropped);
    drop(shared);
    waker.into_iter().for_each(Waker::wake);
    wanted
}

impl Stream for TextStream {
    type Item = Result<Piece>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = lock(&self.0);
        match shared.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(piece)),
            None if shared.done => Poll::Ready(None),
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for TextStream {
    fn drop(&mut self) {
        lock(&self.0).dropped = true;
    }
}
