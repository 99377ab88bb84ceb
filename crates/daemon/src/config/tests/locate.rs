//! What a client command reads of a config, and the files that a config names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{DEFAULT_FILE, DirectoryFile, Outside, Socket, Whereabouts, absent, exposed};

fn found(path: &str, text: Result<&str, io::ErrorKind>) -> Whereabouts {
    let read = |_: &Path| text.map(|text| text.as_bytes().to_vec()).map_err(io::Error::from);
    let variables = BTreeMap::from([("XDG_RUNTIME_DIR".to_owned(), "/run/user/7".to_owned())]);
    Whereabouts::read(
        Path::new(path),
        &Outside { variables, root: false, read: &read, ..Outside::system(&|_| Ok(vec![])) },
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
    let outside =
        Outside { variables: BTreeMap::new(), root: false, read: &read, ..Outside::system(&|_| Ok(vec![])) };
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

#[test]
fn files_with_secrets_that_everybody_can_read_are_said() {
    let text = "[zone \"a.example\"]\nprovider = rfc2136\ntsigSecret = abc\nserver = 192.0.2.1\n\
                [zone \"b.example\"]\nprovider = coredns\netcd-password-file = /open\netcd-key-file = /closed\n\
                [cluster \"w\"]\nkubeconfig = /closed:/open\n[discovery]\ndirectory = /\n\
                [ha]\netcd-password = def\netcd-key-file = /open\n";
    let read = |_: &Path| Ok(text.as_bytes().to_vec());
    let list = |_: &Path| {
        Ok(["open", "closed"].map(|name| DirectoryFile { name: name.to_owned(), size: 1 }).to_vec())
    };
    let outside =
        Outside { variables: BTreeMap::new(), read: &read, list: &list, ..Outside::system(&|_| Ok(vec![])) };
    let modes = |config: u32| {
        move |path: &Path| match path.to_str() {
            Some("/open") => Some(0o644),
            Some("/closed") => Some(0o640),
            _ => Some(config),
        }
    };
    let said = |config| {
        let notes = exposed::files(Path::new("dns.conf"), &outside, modes(config));
        notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let open = said(0o644);
    assert_eq!(open.len(), 6, "{open:?}");
    assert!(open[4].contains("[ha] etcd-key-file: /open has"), "{open:?}");
    assert!(open[5].contains("[ha] etcd-password: dns.conf has"), "{open:?}");
    assert!(open[3].contains("[discovery] directory: /open has a secret"), "{open:?}");
    assert!(
        open[0].starts_with("dns.conf:3: [zone \"a.example\"] tsigSecret: dns.conf has a secret"),
        "{open:?}"
    );
    assert!(
        open[1].contains("etcd-password-file: /open has") && open[1].ends_with("chmod o-r /open"),
        "{open:?}"
    );
    assert!(open[2].contains("kubeconfig: /open has"), "{open:?}");
    assert!(
        !open.iter().any(|line| line.contains("abc") || line.contains("def")),
        "the secret itself is not said"
    );
    assert_eq!(said(0o640).len(), 4);
}
