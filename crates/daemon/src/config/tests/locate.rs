//! What a client command reads of a config, and the files that a config names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{DEFAULT_FILE, Outside, Socket, Whereabouts, absent};

fn found(path: &str, text: Result<&str, io::ErrorKind>) -> Whereabouts {
    let read = |_: &Path| text.map(|text| text.as_bytes().to_vec()).map_err(io::Error::from);
    let variables = BTreeMap::from([("XDG_RUNTIME_DIR".to_owned(), "/run/user/7".to_owned())]);
    Whereabouts::read(
        Path::new(path),
        &Outside { variables, root: false, read: &read, contexts: &|_| Ok(vec![]) },
    )
}

fn listen(found: &Whereabouts) -> Option<String> {
    found.listen.map(|address| address.to_string())
}

#[test]
fn a_fault_elsewhere_in_the_file_does_not_hide_the_daemon() {
    let text = "[fleet\nnmae = f\n[zone \"a\"]\nprovider = cordns\n\0\n[admin]\nlisten = 127.0.0.1:7\nsocket = /s\nlgo = x\n";
    let found = found("dns.conf", Ok(text));
    assert_eq!(listen(&found).as_deref(), Some("127.0.0.1:7"));
    assert_eq!((&found.socket, &found.problem), (&Socket::At("/s".into()), &None));
}

#[test]
fn what_cannot_be_understood_is_as_it_is_without_a_config() {
    for text in ["[admin]\nlisten = 127.0.0.1:x\nsocket = relative\n", "", "\u{feff}[fleet]\nname = f\n"] {
        let found = found("dns.conf", Ok(text));
        assert_eq!(listen(&found).as_deref(), Some("127.0.0.1:8053"), "{text}");
        assert_eq!(found.socket, Socket::Usual("/run/user/7/fleetdns.sock".into()), "{text}");
    }
    assert_eq!(found("dns.conf", Ok("[admin]\nlisten = off\nsocket = off\n")).listen, None);
}

#[test]
fn a_file_that_may_not_be_read_is_said_when_the_default_does_not_answer() {
    let denied = found(DEFAULT_FILE, Err(io::ErrorKind::PermissionDenied));
    assert_eq!(listen(&denied).as_deref(), Some("127.0.0.1:8053"));
    assert!(denied.hint().contains("/etc/fleetdns/dns.conf cannot be read: permission denied"), "{denied:?}");
    assert_eq!(found(DEFAULT_FILE, Err(io::ErrorKind::NotFound)).hint(), "", "nobody asked for it");
    assert!(found("x.conf", Err(io::ErrorKind::NotFound)).hint().contains("x.conf"), "somebody typed it");
}

#[test]
fn files_that_do_not_exist_are_faults_beside_the_others() {
    let text = "[zone \"a.example\"]\nprovider = coredns\netcd-ca-file = /gone/ca\netcd-password-file = /gone/secret\n\
                zone-file = /ours\n[cluster \"w\"]\nkubeConfig = /there:/gone/k\n";
    let read = |path: &Path| match path.to_str() {
        Some("dns.conf") => Ok(text.as_bytes().to_vec()),
        Some("/there") => Ok(vec![]),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let outside = Outside { variables: BTreeMap::new(), root: false, read: &read, contexts: &|_| Ok(vec![]) };
    let faults = absent::files(&PathBuf::from("dns.conf"), &outside);
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "dns.conf:3: [zone \"a.example\"] etcd-ca-file: /gone/ca does not exist",
            "dns.conf:7: [cluster \"w\"] kubeConfig: /gone/k does not exist",
        ]
    );
}
