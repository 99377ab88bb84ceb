//! Answers that grow with the fleet: made while they are read.
//!
//! A thread of its own makes the answer and waits for the reader, so that no task that matters waits for either.
//! Invariant: an answer takes a few pieces of memory, however large it is and however slowly it is read. One that is not written
//! to its end breaks the connection, and is never a shorter answer; over HTTP/1.0 a reader cannot tell the two apart.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait to be read.
const AHEAD: usize = 2;
/// For one piece to be read, before others have their turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// A part of an answer, or `None` behind the last one.
type Piece = Option<Bytes>;

type WriteAll = Box<dyn FnOnce(&mut dyn Write) -> serde_json::Result<()> + Send>;

/// Sends what `write` writes, as JSON; it has one of the turns until all of it was taken.
pub(super) async fn json(turns: &'static Semaphore, write: WriteAll) -> Result<Response, StatusCode> {
    let turn = turns.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let (pieces, taken) = mpsc::channel(AHEAD);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        if let Err(error) = write_all(Pieces { pieces, runtime }, write) {
            tracing::debug!(%error, "answer of the admin API not read to its end");
        }
    });
    let body = stream::unfold(Some(taken), |taken| async {
        let mut taken: mpsc::Receiver<Piece> = taken?;
        match taken.recv().await {
            Some(Some(piece)) => Some((Ok(piece), Some(taken))),
            Some(None) => None,
            None => Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None)),
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response())
}

fn write_all(pieces: Pieces, write: WriteAll) -> io::Result<()> {
    let mut buffer = BufWriter::with_capacity(PIECE_BYTES, pieces);
    write(&mut buffer)?;
    buffer.flush()?;
    buffer.get_mut().send(None)
}

struct Pieces {
    pieces: mpsc::Sender<Piece>,
    runtime: Handle,
}

impl Pieces {
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        match self.runtime.block_on(timeout(PATIENCE, self.pieces.send(piece))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Some(Bytes::copy_from_slice(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::advance;

    use super::*;

    const LARGE: usize = 40 * PIECE_BYTES;

    /// Writes numbers until there are [`LARGE`] bytes, and counts the bytes.
    fn numbers(written: &Arc<AtomicUsize>) -> WriteAll {
        let written = Arc::clone(written);
        Box::new(move |out| {
            for number in 0.. {
                let text = format!("{number} ");
                out.write_all(text.as_bytes()).map_err(serde_json::Error::io)?;
                if written.fetch_add(text.len(), Ordering::Relaxed) > LARGE {
                    break;
                }
            }
            Ok(())
        })
    }

    #[tokio::test]
    async fn what_is_read_is_what_was_written() {
        static TURN: Semaphore = Semaphore::const_new(1);
        let body = json(&TURN, numbers(&Arc::default())).await.unwrap().into_body();
        let read = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let mut whole = Vec::new();
        numbers(&Arc::default())(&mut whole).unwrap();
        assert!(read.len() > LARGE && read == whole);
        drop(TURN.acquire().await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_costs_a_few_pieces_and_ends_with_an_error() {
        static TURN: Semaphore = Semaphore::const_new(1);
        let written = Arc::default();
        let body = json(&TURN, numbers(&written)).await.unwrap().into_body();
        while TURN.try_acquire().is_err() {
            advance(PATIENCE).await;
            std::thread::yield_now();
        }
        let written = written.load(Ordering::Relaxed);
        assert!(written < (AHEAD + 2) * PIECE_BYTES, "{written} bytes");
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err(), "a shorter answer is no answer");
    }

    #[tokio::test]
    async fn who_leaves_ends_it() {
        static TURN: Semaphore = Semaphore::const_new(1);
        let written = Arc::default();
        drop(json(&TURN, numbers(&written)).await.unwrap());
        drop(TURN.acquire().await.unwrap());
        assert!(written.load(Ordering::Relaxed) < LARGE);
    }
}
