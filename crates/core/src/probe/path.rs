//! What a probe may ask for by name.

/// The longest path of a request.
const LONGEST_PATH: usize = 1024;

/// Whether a text can stand as the path of a request, with or without a query: no longer than 1,024 characters, all of them
/// those of a URL (RFC 3986 §3.3, §3.4), everything else escaped with `%`.
pub fn is_path(text: &str) -> bool {
    let mut rest = text.bytes();
    let fits = |byte: u8, rest: &mut std::str::Bytes<'_>| match byte {
        b'%' => (0..2).all(|_| rest.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
        _ => byte.is_ascii_alphanumeric() || b"/?-._~!$&'()*+,;=:@".contains(&byte),
    };
    if !text.starts_with('/') || text.len() > LONGEST_PATH {
        return false;
    }
    while let Some(byte) = rest.next() {
        if !fits(byte, &mut rest) {
            return false;
        }
    }
    true
}

/// Whether a text can be the name of a gRPC service.
pub fn is_service(text: &str) -> bool {
    text.len() <= 253 && text.bytes().all(|b| b.is_ascii_graphic())
}
