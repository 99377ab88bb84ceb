//! Certificates for tests.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::Tls;

/// An authority, its PEM file, and servers with certificates of its own making.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = std::env::temp_dir().join(format!("fleetdns-probe-{}-{name}.pem", std::process::id()));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// A server with a certificate for a name, without any ALPN.
    pub(crate) fn config(&self, name: &str, expired: bool) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        self.serving(params)
    }

    /// The same with a certificate for thousands of names.
    pub(crate) fn large(&self, name: &str) -> ServerConfig {
        let more = (0..2_000).map(|number| format!("{number}.example.com"));
        self.serving(
            CertificateParams::new(std::iter::once(name.to_owned()).chain(more).collect::<Vec<_>>()).unwrap(),
        )
    }

    fn serving(&self, params: CertificateParams) -> ServerConfig {
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateDer::from(params.signed_by(&pair, &self.issuer).unwrap());
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(pair.serialize_der()).unwrap())
            .unwrap()
    }

    pub(crate) fn trusted(&self) -> Tls {
        Tls::new(Some(&self.file), false).unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).ok();
    }
}
