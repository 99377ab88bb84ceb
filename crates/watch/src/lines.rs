//! The lines of a watch.

use std::io;

use futures::{AsyncBufRead, AsyncBufReadExt};

use crate::limits::too_large;

/// What stands around the object in a line.
const AROUND: usize = 4096;

/// The lines of a watch. Waiting for them may be given up and begun again.
///
/// Invariant: it holds no more than one line of the largest size.
pub(crate) struct Lines<R> {
    reader: R,
    rest: Vec<u8>,
    /// Bytes of the largest object.
    largest: usize,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) const fn new(reader: R, largest: usize) -> Self {
        Self { reader, rest: Vec::new(), largest }
    }

    /// All lines that are there, each with its end; `None` when the server ended the watch.
    ///
    /// # Errors
    /// `InvalidData` for a line that is too long; others when the connection ended.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let (length, end) = (chunk.len(), chunk.iter().rposition(|byte| *byte == b'\n'));
            let (whole, rest) = chunk.split_at(end.map_or(0, |end| end + 1));
            let first = whole.iter().position(|byte| *byte == b'\n').unwrap_or(length);
            if self.rest.len().saturating_add(first) > self.largest.saturating_add(AROUND) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, too_large(self.largest)));
            }
            let mut lines = std::mem::take(&mut self.rest);
            lines.extend_from_slice(whole);
            if whole.is_empty() {
                lines.extend_from_slice(rest);
                self.rest = lines;
                self.reader.consume_unpin(length);
            } else {
                self.rest = rest.to_vec();
                self.reader.consume_unpin(length);
                return Ok(Some(lines));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::{BufReader, Cursor};

    use super::*;

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let text = "one\ntwo two\nthree\ncut";
        for size in 1..text.len() + 2 {
            let mut lines = Lines::new(BufReader::with_capacity(size, Cursor::new(text)), 100);
            let mut whole = Vec::new();
            while let Some(some) = lines.next().await.unwrap() {
                assert!(some.ends_with(b"\n"), "{size}");
                whole.extend(some);
            }
            assert_eq!(String::from_utf8(whole).unwrap(), "one\ntwo two\nthree\n", "{size}");
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_given_up() {
        for end in ["", "\n"] {
            let text = format!("{}{end}", "x".repeat(AROUND + 100));
            let mut lines = Lines::new(BufReader::with_capacity(64, Cursor::new(&text)), 99);
            let error = lines.next().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            let mut lines = Lines::new(BufReader::with_capacity(64, Cursor::new(text)), 100);
            assert!(lines.next().await.is_ok());
        }
    }
}
