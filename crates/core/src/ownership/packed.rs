//! The short form of an ownership text, for providers whose marks have little room: what follows the Service is
//! deflated (RFC 1951) and written in base64 (RFC 4648 §4).
//!
//! `v=1 owner=fed service=default/web z=…`; whose it is can still be read by eye.

use std::borrow::Cow;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Longest text that is unpacked, in octets.
const UNPACKED: u64 = 256 << 10;

/// The short form of an `Ownership`'s text. It is not always shorter.
pub fn pack(text: &str) -> String {
    let (head, tail) = text.split_at(head(text));
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail; if it did, the text would be left as it is, and found too long.
    match encoder.write_all(tail.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(packed) => format!("{head} z={}", STANDARD.encode(packed)),
        Err(_) => text.to_owned(),
    }
}

/// The text that was packed; the text itself when there is nothing to unpack, or nothing that can be.
pub fn unpack(text: &str) -> Cow<'_, str> {
    let (head, tail) = text.split_at(head(text));
    let unpacked = tail.strip_prefix(" z=").and_then(|packed| {
        let mut unpacked = String::new();
        let packed = STANDARD.decode(packed).ok()?;
        DeflateDecoder::new(&*packed).take(UNPACKED + 1).read_to_string(&mut unpacked).ok()?;
        // Cut, it might read as a mark of fewer addresses.
        (unpacked.len() as u64 <= UNPACKED).then_some(unpacked)
    });
    match unpacked {
        Some(members) => format!("{head}{members}").into(),
        None => text.into(),
    }
}

/// Where the members begin: behind version, owner and Service.
fn head(text: &str) -> usize {
    text.match_indices(' ').nth(2).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_text_names_its_owner_and_comes_back_whole() {
        let mut text = "v=1 owner=fed service=default/web".to_owned();
        for number in 0..200 {
            text += &format!(" member=m{number:04};westus;1,2;tcp:80;203.0.113.{number}");
        }
        let packed = pack(&text);
        assert!(packed.starts_with("v=1 owner=fed service=default/web z="), "{packed}");
        assert!(packed.len() * 4 < text.len(), "{} of {}", packed.len(), text.len());
        assert_eq!(unpack(&packed), text);
        assert_eq!(unpack(&pack("v=1 owner=fed service=default/web")), "v=1 owner=fed service=default/web");
    }

    #[test]
    fn a_text_that_unpacks_to_too_much_is_not_unpacked() {
        let long = format!("v=1 owner=fed service=default/web {}", "x".repeat(UNPACKED as usize));
        assert_eq!(unpack(&pack(&long)), pack(&long));
    }

    #[test]
    fn what_was_not_packed_stays_as_it_is() {
        for text in ["", "v=1", "v=1 owner=fed service=default/web member=w;;;tcp:80;203.0.113.1"] {
            assert_eq!(unpack(text), text);
        }
        for damaged in ["v=1 owner=fed service=default/web z=%%%", "v=1 owner=fed service=default/web z=AAAA"]
        {
            assert_eq!(unpack(damaged), damaged);
        }
    }
}
