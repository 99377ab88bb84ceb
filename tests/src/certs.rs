//! Throw-away certificates and keys of a member's API server.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// PEM files in one folder.
#[derive(Clone, Debug)]
pub struct Files {
    /// Certificate of the authority that signed [`certificate`](Self::certificate).
    pub authority: PathBuf,
    /// Certificate for 127.0.0.1, ::1 and localhost.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Private key that signs service account tokens.
    pub service_account_key: PathBuf,
    /// Its public key.
    pub service_account_public: PathBuf,
}

/// Makes all of them in `folder`.
///
/// # Panics
/// When they cannot be made or written.
pub fn write(folder: &Path, authority_name: &str) -> Files {
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    };

    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, format!("{authority_name} test authority"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate().expect("a key pair");
    let authority_certificate = authority.self_signed(&authority_key).expect("a self-signed certificate");
    let issuer = Issuer::new(authority, authority_key);

    let names = ["127.0.0.1", "::1", "localhost"].map(str::to_owned);
    let mut leaf = CertificateParams::new(names).expect("names and addresses that parse");
    leaf.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate().expect("a key pair");
    let leaf_certificate = leaf.signed_by(&leaf_key, &issuer).expect("a signed certificate");

    let tokens = KeyPair::generate().expect("a key pair");
    Files {
        authority: file("ca.crt", authority_certificate.pem()),
        certificate: file("tls.crt", leaf_certificate.pem()),
        key: file("tls.key", leaf_key.serialize_pem()),
        service_account_key: file("sa.key", tokens.serialize_pem()),
        service_account_public: file("sa.pub", tokens.public_key_pem()),
    }
}
