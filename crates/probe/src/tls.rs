//! TLS of https and grpcs probes: what is trusted, and what is said of a certificate that is not.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use fleetdns_core::{MemberName, ProbeKey, Trust};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::io::InspectReader;
use tracing::warn;

use crate::answer::{Answer, Failure, Snag, stream_error};
use crate::error::ProbeError;
use crate::sessions::{Session, Sessions};
use crate::settings::TrustSettings;

/// How probes over TLS connect, by whose word on certificates counts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Trusts(Arc<(Tls, BTreeMap<MemberName, Tls>)>);

impl Trusts {
    pub(crate) fn new(
        fleet: &TrustSettings,
        members: &BTreeMap<MemberName, TrustSettings>,
    ) -> Result<Self, ProbeError> {
        let tls = |settings: &TrustSettings| Tls::new(settings.ca_file.as_deref(), settings.insecure);
        let members = members.iter().map(|(name, own)| Ok((name.clone(), tls(own)?)));
        Ok(Self(Arc::new((tls(fleet)?, members.collect::<Result<_, ProbeError>>()?))))
    }

    /// A member that the config knows no more may still be in a mark in the zone: whom it trusted cannot be told.
    pub(crate) fn of(&self, trust: &Trust) -> Result<&Tls, Answer> {
        match trust {
            Trust::Fleet => Ok(&self.0.0),
            Trust::Member(name) => self.0.1.get(name).ok_or_else(|| {
                unaskable(format!("nothing is known any more of whom the cluster {name} trusts"))
            }),
        }
    }

    #[cfg(test)]
    pub(crate) fn only(tls: Tls) -> Self {
        Self(Arc::new((tls, BTreeMap::new())))
    }
}

fn unaskable(why: String) -> Answer {
    Answer::Unclear(Snag::Unaskable(why.into()))
}

/// What is spoken over TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Alpn {
    Http1,
    Http2,
}

/// How probes connect over TLS; `None` where this machine trusts nobody.
#[derive(Clone)]
pub(crate) struct Tls(Option<Connectors>);

#[derive(Clone)]
struct Connectors {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    sessions: Arc<Sessions>,
}

impl Tls {
    pub(crate) fn new(ca_file: Option<&Path>, insecure: bool) -> Result<Self, ProbeError> {
        let mut provider = aws_lc_rs::default_provider();
        // What takes the least CPU comes first. A probe has no secret to keep, from the quantum computers of later years either.
        provider.kx_groups.sort_by_key(|group| group.name() != NamedGroup::X25519);
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(ProbeError::Tls)?;
        let config = if insecure {
            let verifier = Arc::new(Anyone(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        } else {
            let roots = match ca_file {
                Some(path) => from_file(path)?,
                None => from_system(),
            };
            if roots.is_empty() {
                return Ok(Self(None));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        };
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        let (http1, http2) = (speaking(b"http/1.1"), speaking(b"h2"));
        Ok(Self(Some(Connectors { http1, http2, sessions: Arc::default() })))
    }

    #[cfg(test)]
    pub(crate) const fn nobody() -> Self {
        Self(None)
    }

    #[cfg(test)]
    pub(crate) fn sessions(&self) -> Option<&Sessions> {
        self.0.as_ref().map(|connectors| &*connectors.sessions)
    }

    /// The handshake over a connection that was made; it resumes the session of the key's last probe.
    pub(crate) async fn shake<S>(
        &self,
        (key, host): (&ProbeKey, &str),
        stream: S,
        alpn: Alpn,
    ) -> Result<(TlsStream<impl AsyncRead + AsyncWrite + Unpin + use<S>>, Session), Answer>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connectors = self.0.as_ref().ok_or_else(|| {
            unaskable(
                "this machine trusts no certificates; install ca-certificates or set the ca-file".to_owned(),
            )
        })?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| unaskable(format!("'{host}' cannot stand in a certificate")))?;
        let mut session = connectors.sessions.take(key);
        let mut config = ClientConfig::clone(match alpn {
            Alpn::Http1 => &connectors.http1,
            Alpn::Http2 => &connectors.http2,
        });
        config.resumption = Resumption::store(Arc::clone(&session.slot) as _);
        let slot = Arc::clone(&session.slot);
        let stream = InspectReader::new(stream, move |data: &[u8]| slot.receive(data));
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = connecting.await.map_err(|error| handshake_error(&error, host))?;
        session.shaken(stream.get_ref().1.handshake_kind());
        Ok((stream, session))
    }

    /// Keeps the session of a probe that has passed for the next one.
    pub(crate) fn keep(&self, key: &ProbeKey, session: Session) {
        if let Some(connectors) = &self.0 {
            connectors.sessions.keep(key, session);
        }
    }
}

fn from_file(path: &Path) -> Result<RootCertStore, ProbeError> {
    let failed = |why: String| ProbeError::CaFile { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() { Err(failed("it holds no certificate".to_owned())) } else { Ok(roots) }
}

fn from_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let error = found.errors.first().map(ToString::to_string).unwrap_or_default();
        warn!(ignored, error, "no trusted certificates on this machine, probes over TLS will say nothing");
    }
    roots
}

fn handshake_error(error: &io::Error, host: &str) -> Answer {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let failure = match tls {
        None => return stream_error(error),
        Some(rustls::Error::InvalidCertificate(fault)) => Failure::Certificate(certificate(fault, host)),
        Some(rustls::Error::InvalidMessage(_)) => Failure::Tls("the answer is not TLS".into()),
        Some(rustls::Error::AlertReceived(alert)) => {
            Failure::Tls(format!("the server refused with {alert:?}").into())
        }
        Some(other) => Failure::Tls(other.to_string().into()),
    };
    Answer::Fail(failure)
}

fn certificate(fault: &CertificateError, host: &str) -> Box<str> {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not valid yet".into(),
        CertificateError::UnknownIssuer => "signed by nobody whom this machine trusts".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("not for {host}").into()
        }
        other => format!("refused: {other}").into(),
    }
}

/// Takes any certificate, and still wants the handshake itself to be right.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
