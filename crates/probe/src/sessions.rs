//! TLS sessions that the next probe of the same key resumes: a handshake without certificates takes far less CPU.
//!
//! A server that resumes a session shows no certificate, so one that has expired would go unseen.
//!
//! Invariant: a session is offered to the endpoint that it came from and to no other, only after a probe that passed, and
//! within [`LONGEST`] of the handshake in which the certificate was verified. Where a probe that resumed one did not pass, no
//! other is offered for at least as long: a server may fail at nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetdns_core::ProbeKey;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, NamedGroup};
use tokio::time::Instant;

/// After this long a certificate is verified again.
const LONGEST: Duration = Duration::from_secs(60);
/// Octets of the largest session that is kept: a ticket, and the certificates that were verified.
const LARGEST: usize = 16 * 1024;
/// Octets of all sessions of a generation.
const ROOM: usize = 32 * 1024 * 1024;
/// What a session takes beside its ticket and its certificates.
const OVERHEAD: usize = 512;

/// The sessions of all keys. At most two generations of [`ROOM`] are kept, and none for longer than two times [`LONGEST`]
/// while others are kept: a key that is probed no more leaves nothing behind.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: Generation,
    old: Generation,
    begin: Option<Instant>,
}

#[derive(Default)]
struct Generation {
    kept: HashMap<ProbeKey, Kept>,
    size: usize,
}

struct Kept {
    /// None while the probe that it was offered in has not passed.
    ticket: Option<(Tls13ClientSessionValue, Verified)>,
    size: usize,
}

/// The handshake in which the certificate was verified: when, and how many octets came with it.
#[derive(Clone, Copy)]
struct Verified {
    at: Instant,
    received: usize,
}

/// What one handshake offers, and what it gets for the next one.
pub(crate) struct Session {
    pub(crate) slot: Arc<Slot>,
    verified: Option<Verified>,
    /// The last probe that was offered one did not pass.
    failed: bool,
}

/// The ticket of one connection, where rustls takes it from and puts a new one.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    ticket: Mutex<Option<Tls13ClientSessionValue>>,
    received: AtomicUsize,
}

impl Sessions {
    /// The session of a key for its next handshake. It is gone from here until that probe has passed.
    pub(crate) fn take(&self, key: &ProbeKey) -> Session {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take(key);
        let failed = kept.as_ref().is_some_and(Option::is_none);
        let kept = kept.flatten().filter(|(_, verified)| verified.at.elapsed() < LONGEST);
        let (ticket, verified) = kept.unzip();
        let slot = Arc::new(Slot { ticket: Mutex::new(ticket), received: AtomicUsize::new(0) });
        Session { slot, verified, failed }
    }

    /// Keeps what the server gave for the next handshake, after a probe that passed.
    pub(crate) fn keep(&self, key: &ProbeKey, session: Session) {
        let kept = session.slot.take().zip(session.verified).filter(|_| !session.failed);
        let Some((ticket, verified)) = kept else { return };
        let size = verified.received + session.slot.received.load(Ordering::Relaxed) + OVERHEAD;
        if size <= LARGEST {
            let kept = Kept { ticket: Some((ticket, verified)), size };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, kept);
        }
    }
}

impl Generations {
    /// What is kept of a key, and in it the ticket, which is taken out.
    fn take(&mut self, key: &ProbeKey) -> Option<Option<(Tls13ClientSessionValue, Verified)>> {
        self.age();
        if let Some(kept) = self.young.take(key) {
            return Some(kept);
        }
        let ticket = self.old.take(key)?;
        if ticket.is_some() {
            self.put(key, Kept { ticket: None, size: OVERHEAD });
        }
        Some(ticket)
    }

    fn put(&mut self, key: &ProbeKey, kept: Kept) {
        self.age();
        self.young.remove(key);
        self.old.remove(key);
        if self.young.size + kept.size <= ROOM {
            self.young.size += kept.size;
            self.young.kept.insert(key.clone(), kept);
        }
    }

    fn age(&mut self) {
        if self.begin.is_none_or(|begin| begin.elapsed() >= LONGEST) {
            self.begin = Some(Instant::now());
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl Generation {
    fn take(&mut self, key: &ProbeKey) -> Option<Option<(Tls13ClientSessionValue, Verified)>> {
        let kept = self.kept.get_mut(key)?;
        self.size -= kept.size - OVERHEAD;
        kept.size = OVERHEAD;
        Some(kept.ticket.take())
    }

    fn remove(&mut self, key: &ProbeKey) {
        self.size -= self.kept.remove(key).map_or(0, |kept| kept.size);
    }
}

impl Session {
    /// The handshake has ended so.
    pub(crate) fn shaken(&mut self, kind: Option<HandshakeKind>) {
        if kind != Some(HandshakeKind::Resumed) {
            let received = self.slot.received.load(Ordering::Relaxed);
            self.verified = Some(Verified { at: Instant::now(), received });
        }
    }
}

impl Slot {
    /// Counts what the server sends: no ticket or certificate is larger.
    pub(crate) fn receive(&self, data: &[u8]) {
        self.received.fetch_add(data.len(), Ordering::Relaxed);
    }

    fn take(&self) -> Option<Tls13ClientSessionValue> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// TLS 1.3 alone: its tickets are used once, and its sessions have keys of their own.
impl ClientSessionStore for Slot {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        *self.ticket.lock().unwrap_or_else(PoisonError::into_inner) = Some(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.take()
    }
}

#[cfg(test)]
mod tests;
