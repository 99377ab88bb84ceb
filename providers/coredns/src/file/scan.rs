//! Zone file text becomes statements (RFC 1035 §5.1): only where they are and of which words they consist.
//!
//! The words of foreign statements are looked at just as far as needed to know name and type, so that no record type
//! is unknown, and nothing is ever written back from a parsed form.

use std::ops::Range;

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    /// Without quotes, with its escapes.
    pub(crate) text: &'a str,
    pub(crate) at: Range<usize>,
    pub(crate) quoted: bool,
}

/// One entry: a record, or a `$` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    /// Counted from 1.
    pub(crate) line: usize,
    /// Whether it begins with a blank: then its name is that of the record before.
    pub(crate) inherits: bool,
    pub(crate) words: Vec<Word<'a>>,
}

/// A text that ends inside of quotes or parentheses, which began in this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unclosed {
    pub(crate) line: usize,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

/// All statements of a text.
pub(crate) fn statements(text: &str) -> Result<Vec<Statement<'_>>, Unclosed> {
    let mut scanner = Scanner { text, at: 0, line: 1 };
    let mut statements = Vec::new();
    while scanner.at < text.len() {
        let statement = scanner.statement()?;
        if !statement.words.is_empty() {
            statements.push(statement);
        }
    }
    Ok(statements)
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
    }

    /// Up to the end of the line that ends it.
    fn statement(&mut self) -> Result<Statement<'a>, Unclosed> {
        let line = self.line;
        let inherits = matches!(self.peek(), Some(b' ' | b'\t'));
        let mut words = Vec::new();
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.next();
                    if depth == 0 {
                        return Ok(Statement { line, inherits, words });
                    }
                }
                b' ' | b'\t' | b'\r' => {
                    self.next();
                }
                b';' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.next();
                    }
                }
                b'(' => {
                    self.next();
                    depth += 1;
                }
                b')' => {
                    self.next();
                    depth = depth.saturating_sub(1);
                }
                b'"' => words.push(self.quoted()?),
                _ => words.push(self.word()),
            }
        }
        if depth == 0 { Ok(Statement { line, inherits, words }) } else { Err(Unclosed { line }) }
    }

    fn quoted(&mut self) -> Result<Word<'a>, Unclosed> {
        let line = self.line;
        self.next();
        let start = self.at;
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => {
                    self.next();
                }
                b'"' => {
                    let at = start..self.at - 1;
                    return Ok(Word { text: self.slice(&at), at, quoted: true });
                }
                _ => {}
            }
        }
        Err(Unclosed { line })
    }

    fn word(&mut self) -> Word<'a> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
                b'\\' => {
                    self.next();
                    self.next();
                }
                _ => {
                    self.next();
                }
            }
        }
        let at = start..self.at;
        Word { text: self.slice(&at), at, quoted: false }
    }

    /// The ends lie at ASCII characters; an escaped one that is not is cut there, and then no name.
    fn slice(&self, at: &Range<usize>) -> &'a str {
        self.text.get(at.clone()).unwrap_or("\\")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<&str>> {
        let statements = statements(text).unwrap();
        statements.iter().map(|statement| statement.words.iter().map(|word| word.text).collect()).collect()
    }

    #[test]
    fn comments_quotes_and_parentheses_are_understood() {
        let text = "$TTL 1h ; an hour\n@ IN SOA ns. host. ( 5 ; serial\n  1 2\n\t3 4 )\n\n\
            www TXT \"a ; b ( \\\" c\" d\\;e\n   A 10.0.0.1";
        assert_eq!(
            words(text),
            [
                vec!["$TTL", "1h"],
                vec!["@", "IN", "SOA", "ns.", "host.", "5", "1", "2", "3", "4"],
                vec!["www", "TXT", "a ; b ( \\\" c", "d\\;e"],
                vec!["A", "10.0.0.1"],
            ]
        );
        let all = statements(text).unwrap();
        assert_eq!(all.iter().map(|statement| statement.line).collect::<Vec<_>>(), [1, 2, 6, 7]);
        assert_eq!(
            all.iter().map(|statement| statement.inherits).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert!(all[2].words[2].quoted);
        assert_eq!(&text[all[1].words[5].at.clone()], "5");
    }

    #[test]
    fn what_is_not_closed_is_an_error_with_its_line() {
        assert_eq!(statements("a A 1\nb TXT \"x\n"), Err(Unclosed { line: 2 }));
        assert_eq!(statements("\n\n@ SOA ( 1\n2\n"), Err(Unclosed { line: 3 }));
        assert_eq!(statements("a \\"), Ok(statements("a \\").unwrap()));
        assert_eq!(words("ü\\ü x"), [["ü\\ü", "x"]]);
    }
}
