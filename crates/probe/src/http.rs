//! One `GET` and the head of its answer (RFC 9112), and nothing beyond.
//!
//! An HTTP library would bring a connection task and 8 KiB of buffer for each probe in flight. All that is wanted here is
//! the status, once the head is whole. httparse reads a head of 450 octets in 0.30 µs where this takes 0.43 µs, and refuses
//! one with a malformed header or with more of them than there is room for: a healthy endpoint would leave DNS.

use std::fmt::Display;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::answer::{Answer, Failure, Snag, stream_error};

/// A head that is longer is none.
const LONGEST_HEAD: usize = 64 * 1024;
const VERSION: &[u8] = b"HTTP/1.";

/// Asks for the path; returns the status when all of the head has come.
pub(crate) async fn get<S>(mut stream: S, path: &str, host: impl Display) -> Result<u16, Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Anything else would end the line early and say something else.
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Answer::Unclear(Snag::Unaskable(format!("'{path}' cannot stand in a request").into())));
    }
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: fleetdns/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| stream_error(&error))?;
    stream.flush().await.map_err(|error| stream_error(&error))?;
    let mut head = Vec::with_capacity(512);
    loop {
        let old = head.len();
        let read = stream.read_buf(&mut head).await.map_err(|error| stream_error(&error))?;
        if read == 0 {
            return Err(Answer::Fail(Failure::Closed));
        }
        if let Some(status) = final_status(&mut head, old)? {
            return Ok(status);
        }
    }
}

/// The status, once the head of a final answer is whole. `seen`: so much of it was looked at before.
fn final_status(head: &mut Vec<u8>, mut seen: usize) -> Result<Option<u16>, Answer> {
    let not_http = Answer::Fail(Failure::NotHttp);
    loop {
        let start = head.get(..VERSION.len()).unwrap_or(head);
        if !VERSION.starts_with(start) || head.len() > LONGEST_HEAD {
            return Err(not_http);
        }
        let Some(end) = end_of_head(head, seen) else { return Ok(None) };
        let status = status(head).ok_or(not_http.clone())?;
        // Interim answers come before the one that counts (RFC 9110 §15.2); 101 is not one of them here.
        if !(100..200).contains(&status) || status == 101 {
            return Ok(Some(status));
        }
        head.drain(..end);
        seen = 0;
    }
}

/// Where the empty line ends. A line may end without its CR (RFC 9112 §2.2).
fn end_of_head(head: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    let rest = head.get(from..)?;
    (0..rest.len()).find_map(|at| {
        let rest = rest.get(at..)?;
        let length = [&b"\n\r\n"[..], b"\n\n"].into_iter().find(|end| rest.starts_with(end))?.len();
        Some(from + at + length)
    })
}

/// `HTTP/1.x SP 3DIGIT`, and then a space or the end of the line.
fn status(head: &[u8]) -> Option<u16> {
    let [minor, b' ', hundreds, tens, ones, end, ..] = head.strip_prefix(VERSION)? else { return None };
    let digits = [minor, hundreds, tens, ones];
    if !digits.into_iter().all(u8::is_ascii_digit) || !b" \r\n".contains(end) || *hundreds == b'0' {
        return None;
    }
    Some([hundreds, tens, ones].into_iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(chunks: &[&[u8]]) -> Result<Option<u16>, Answer> {
        let mut head = Vec::new();
        for chunk in chunks {
            let seen = head.len();
            head.extend_from_slice(chunk);
            match final_status(&mut head, seen) {
                Ok(None) => {}
                other => return other,
            }
        }
        Ok(None)
    }

    #[test]
    fn the_status_is_known_when_the_head_is_whole_however_it_is_cut() {
        let wholes: [(&[u8], u16); 5] = [
            (b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", 200),
            (b"HTTP/1.0 404\r\n\r\n", 404),
            (b"HTTP/1.1 503 \nServer: x\n\n", 503),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n", 204),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 101),
        ];
        for (whole, status) in wholes {
            for size in [1, 2, 3, 7, whole.len()] {
                let chunks: Vec<&[u8]> = whole.chunks(size).collect();
                assert_eq!(fed(&chunks), Ok(Some(status)), "{} by {size}", String::from_utf8_lossy(whole));
            }
            for cut in 0..whole.len() {
                assert_eq!(fed(&[&whole[..cut]]), Ok(None), "{cut} of {}", String::from_utf8_lossy(whole));
            }
        }
    }

    #[test]
    fn what_is_not_http_is_told_at_the_first_byte_that_differs() {
        let bad: [&[u8]; 7] = [
            b"S",
            b"HTTP/2",
            b"HTTP/1.1 2x0 OK\r\n\r\n",
            b"HTTP/1.1 2000\r\n\r\n",
            b"HTTP/1.1 020 OK\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.x 200 OK\r\n\r\n",
        ];
        for bad in bad {
            assert_eq!(fed(&[bad]), Err(Answer::Fail(Failure::NotHttp)), "{}", String::from_utf8_lossy(bad));
        }
        let endless = vec![b'a'; LONGEST_HEAD];
        assert!(fed(&[b"HTTP/1.1 200 OK\r\n", &endless]).is_err());
    }
}
