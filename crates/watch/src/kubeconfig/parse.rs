//! From the octets of a kubeconfig to what it says.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kube::config::{Kubeconfig, KubeconfigError};

use super::lenient;
use crate::error::AccessError;
use crate::normal::normalise;

/// Files that are kept parsed. Fleets have one kubeconfig for all members or a small one for each, which is parsed soon.
const KEPT: usize = 4;

/// The files that were parsed last. All members of a fleet may stand in one file, and each asks it several times.
#[derive(Default)]
struct Parsed(VecDeque<File>);

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    says: Arc<Kubeconfig>,
}

static PARSED: Mutex<Parsed> = Mutex::new(Parsed(VecDeque::new()));

/// Parses a file, unless these octets of it were parsed lately.
///
/// # Errors
/// When it is no kubeconfig.
pub(super) fn once(path: &Path, bytes: Vec<u8>) -> Result<Arc<Kubeconfig>, AccessError> {
    // Locked meanwhile: all members ask at once when the daemon starts, and one of them parses the file for all.
    PARSED.lock().unwrap_or_else(PoisonError::into_inner).once(path, bytes)
}

impl Parsed {
    fn once(&mut self, path: &Path, bytes: Vec<u8>) -> Result<Arc<Kubeconfig>, AccessError> {
        if let Some(known) = self.0.iter().find(|known| known.path == path && known.bytes == bytes) {
            return Ok(Arc::clone(&known.says));
        }
        let says = Arc::new(parse(path, &bytes)?);
        self.0.retain(|known| known.path != path);
        self.0.truncate(KEPT - 1);
        self.0.push_front(File { path: path.to_owned(), bytes, says: Arc::clone(&says) });
        Ok(says)
    }
}

pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Kubeconfig, AccessError> {
    let syntax = |place: String| AccessError::Syntax { path: path.to_owned(), place };
    let text = text(bytes).ok_or_else(|| syntax(": it is neither UTF-8 nor UTF-16".to_owned()))?;
    let refused = |error| match error {
        // The parser's own text shows lines of the file, which may hold a token.
        KubeconfigError::Parse(error) => syntax(
            error
                .location()
                .map_or_else(String::new, |at| format!(" at line {}, column {}", at.line(), at.column())),
        ),
        _ => syntax(String::new()),
    };
    let mut file = match Kubeconfig::from_yaml(&text) {
        Ok(file) => file,
        Err(error) => lenient::read(&text).ok_or_else(|| refused(error))?,
    };
    normalise(&mut file, path.parent().unwrap_or_else(|| Path::new("")));
    Ok(file)
}

/// UTF-8 with or without a byte order mark, or UTF-16 with one, as editors of Windows write it.
fn text(bytes: &[u8]) -> Option<String> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Option<Vec<u16>> =
            rest.chunks(2).map(|pair| <[u8; 2]>::try_from(pair).ok().map(unit)).collect();
        String::from_utf16(&units?).ok()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_parsed_again_when_it_changes_and_not_before() {
        let mut parsed = Parsed::default();
        let mut ask = |path: &str, current: &str| {
            parsed.once(Path::new(path), format!("current-context: {current}\n").into_bytes()).unwrap()
        };
        let first = ask("/a/config", "west");
        assert!(Arc::ptr_eq(&first, &ask("/a/config", "west")));
        assert_eq!(ask("/a/config", "east").current_context.as_deref(), Some("east"));
        assert_eq!(ask("/a/config", "west").current_context.as_deref(), Some("west"));
        // Relative paths in it begin at its folder.
        assert!(!Arc::ptr_eq(&ask("/a/config", "west"), &ask("/b/config", "west")));
        for other in 0..9 {
            ask(&format!("/{other}/config"), "west");
        }
        assert_eq!(parsed.0.len(), KEPT);
    }
}
