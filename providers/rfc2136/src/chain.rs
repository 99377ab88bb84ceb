//! The signatures of a request and of all messages of its answer (RFC 8945 §5.3 and §5.3.1).
//!
//! Invariant: nothing is sealed but by a signature that covers every message since the one before it.
//! Invariant: no more than [`MAX_UNSIGNED`] messages in a row are kept until a signature covers them.

use std::time::{SystemTime, UNIX_EPOCH};

use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{Record, TSigner};
use hickory_proto::serialize::binary::BinEncoder;

use crate::error::Fault;
use crate::message::Signed;
use crate::settings::FUDGE;

/// Messages in a row that need no signature of their own.
const MAX_UNSIGNED: usize = 99;

/// Octets of the header of a message.
const HEADER: usize = 12;

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn ahead(theirs: u64) -> i64 {
    i64::try_from(theirs).unwrap_or(i64::MAX).saturating_sub(i64::try_from(now()).unwrap_or(0))
}

/// What is needed to verify the next message of an answer.
pub(crate) struct Chain {
    pub(crate) id: u16,
    last: Vec<u8>,
    first: bool,
    /// Messages without a signature since the last one that had it; the next signature covers them too.
    pending: Vec<u8>,
    unsigned: usize,
}

impl Chain {
    /// After a request with this id and signature.
    pub(crate) const fn new(id: u16, signature: Vec<u8>) -> Self {
        Self { id, last: signature, first: true, pending: Vec::new(), unsigned: 0 }
    }

    /// Whether the last message was covered by a signature.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.unsigned == 0
    }

    /// The first message of an answer is signed, of the others not all have to be. Returns how many seconds the server's
    /// clock is ahead of ours, when the message is signed.
    pub(crate) fn verify(
        &mut self,
        signer: &TSigner,
        Signed { message, unsigned }: &Signed,
        bytes: &[u8],
    ) -> Result<Option<i64>, Fault> {
        let Some(signature) = message.signature() else {
            if self.first || bytes.len() < HEADER {
                return Err(Fault::Unsigned(message.metadata.response_code));
            }
            if self.unsigned == MAX_UNSIGNED {
                return Err(Fault::Nonsense(
                    "a transfer with 100 messages in a row without a signature".to_owned(),
                ));
            }
            self.unsigned += 1;
            self.pending.extend(bytes);
            return Ok(None);
        };
        let tsig: &TSIG = &signature.data;
        if let Some(error) = tsig.error.filter(|error| u16::from(*error) != 0) {
            // Only the time of BADTIME is said, in 48 bits (RFC 8945 §5.2.3).
            let told =
                <[u8; 6]>::try_from(tsig.other.as_slice()).ok().filter(|_| error == TsigError::BadTime);
            let theirs =
                told.map(|octets| octets.iter().fold(0, |time, octet| time << 8 | u64::from(*octet)));
            return Err(Fault::Signature { error, ahead: theirs.map(ahead) });
        }
        let bad = || Fault::Nonsense("an answer whose signature is wrong".to_owned());
        let unsigned = bytes.get(..*unsigned).unwrap_or(bytes);
        let covered = self.covered(signature, unsigned).map_err(|_| bad())?;
        self.pending.clear();
        let same_key = signature.name == *signer.signer_name() && tsig.algorithm == *signer.algorithm();
        if !same_key || signer.verify(&covered, &tsig.mac).is_err() {
            return Err(bad());
        }
        let ahead = ahead(tsig.time);
        if ahead.unsigned_abs() > u64::from(FUDGE) {
            return Err(Fault::Signature { error: TsigError::BadTime, ahead: Some(ahead) });
        }
        self.last.clone_from(&tsig.mac);
        self.first = false;
        self.unsigned = 0;
        Ok(Some(ahead))
    }

    /// What a signature is made of: the one before it, the messages since, this message as it was without its signature, and
    /// key and time (RFC 8945 §5.3.1). The records are taken as they came, whatever they hold.
    fn covered(&self, signature: &Record<TSIG>, unsigned: &[u8]) -> Result<Vec<u8>, ProtoError> {
        let tsig = &signature.data;
        let length = u16::try_from(self.last.len()).unwrap_or(u16::MAX);
        let mut covered = [&length.to_be_bytes(), &*self.last, &*self.pending].concat();
        let (header, records) = unsigned.split_at_checked(HEADER).unwrap_or((unsigned, &[]));
        if let [_, _, counts @ .., high, low] = header {
            covered.extend(tsig.oid.to_be_bytes());
            covered.extend(counts);
            covered.extend(u16::from_be_bytes([*high, *low]).saturating_sub(1).to_be_bytes());
        }
        covered.extend(records);
        if self.first {
            let mut variables = Vec::new();
            tsig.emit_tsig_for_mac(&mut BinEncoder::new(&mut variables), &signature.name)?;
            covered.extend(variables);
        } else {
            covered.extend(&tsig.time.to_be_bytes()[2..]);
            covered.extend(tsig.fudge.to_be_bytes());
        }
        Ok(covered)
    }
}
