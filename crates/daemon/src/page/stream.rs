//! Server-sent events: that something has changed, and nothing of what.
//!
//! Invariant: nothing is kept for a reader, however slow it is: what it has not read yet is one event, which says all.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use futures::Stream;
use futures::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::inputs::Inputs;
use crate::view::View;

/// Readers at one time. Each has one of the listener's connections.
pub(super) const STREAMS: usize = 16;
/// From a change to its event: what changes meanwhile is in the same one. As long as an overview is kept at least, so that
/// no page is fetched that is older than the event.
pub(super) const PACE: Duration = Duration::from_secs(1);
/// An event comes all the same: ages have grown.
const TICK: Duration = Duration::from_secs(10);

/// One reader.
struct Reader {
    inputs: Inputs,
    last: watch::Receiver<u64>,
    ending: CancellationToken,
    _permit: OwnedSemaphorePermit,
    first: bool,
}

/// Events until the daemon ends.
pub(super) fn events(
    view: &View,
    permit: OwnedSemaphorePermit,
    ending: CancellationToken,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let reader = Reader {
        inputs: view.inputs.clone(),
        last: view.journal.last(),
        ending,
        _permit: permit,
        first: true,
    };
    Sse::new(unfold(reader, |mut reader| async move {
        reader.next().await?;
        // A browser drops an event without data.
        Some((Ok(Event::default().event("change").data("now")), reader))
    }))
}

impl Reader {
    /// Returns when there is something to read; `None` when the daemon is ending.
    async fn next(&mut self) -> Option<()> {
        if std::mem::take(&mut self.first) {
            return Some(());
        }
        let Self { inputs, last, ending, .. } = self;
        let changed = async {
            tokio::select! {
                Some(()) = inputs.changed() => {}
                Ok(()) = last.changed() => {}
                () = sleep(TICK) => return,
            }
            sleep(PACE).await;
        };
        tokio::select! {
            () = ending.cancelled() => return None,
            () = changed => {}
        }
        // What has changed meanwhile is in the page that is fetched now.
        let _ = inputs.latest();
        last.mark_unchanged();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use super::*;
    use crate::journal::{Kind, What};

    #[tokio::test(start_paused = true)]
    async fn a_reader_gets_one_event_for_all_that_changed_and_none_after_the_end() {
        let (view, ending) = (View::empty(), CancellationToken::new());
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let mut reader = Reader {
            inputs: view.inputs.clone(),
            last: view.journal.last(),
            ending: ending.clone(),
            _permit: permit,
            first: true,
        };
        let _ = reader.inputs.latest();
        let began = Instant::now();
        assert_eq!(reader.next().await, Some(()));
        assert_eq!(began.elapsed(), Duration::ZERO, "at once, so that nothing is missed after a restart");
        for _ in 0..1000 {
            view.journal.record([What::new(Kind::Cluster, "live")]);
        }
        assert_eq!(reader.next().await, Some(()));
        assert_eq!(began.elapsed(), PACE);
        assert_eq!(reader.next().await, Some(()));
        assert_eq!(began.elapsed(), PACE + TICK, "the thousand were one");
        ending.cancel();
        assert_eq!(reader.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_goes_makes_room() {
        let (view, room) = (View::empty(), Arc::new(Semaphore::new(1)));
        let stream = events(&view, Arc::clone(&room).try_acquire_owned().unwrap(), CancellationToken::new());
        assert!(Arc::clone(&room).try_acquire_owned().is_err());
        let mut body = axum::response::IntoResponse::into_response(stream).into_body().into_data_stream();
        let first = body.next().await.unwrap().unwrap();
        assert_eq!(first, "event: change\ndata: now\n\n", "a browser drops an event without data");
        drop(body);
        assert_eq!(room.available_permits(), 1);
    }
}
