//! What is wrong with certificates of a kubeconfig, in words that name them.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates of a `certificate-authority`, in DER; what else stands in the PEM is passed over.
///
/// # Errors
/// When there is none.
pub(crate) fn read(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|one| one.map(|der| der.to_vec())).collect();
    let found = found.map_err(|error| format!("its certificate-authority is no PEM: {error}"))?;
    if found.is_empty() {
        return Err("its certificate-authority holds no certificate in PEM".to_owned());
    }
    Ok(found)
}

/// Names what the TLS library's text does not: a client certificate of X.509 version 1.
pub(crate) fn problem(text: &str) -> String {
    if text.contains("UnsupportedCertVersion") {
        return "its client certificate is of X.509 version 1, which TLS does not take; have it issued again as version \
                3, with an extension such as extendedKeyUsage = clientAuth"
            .to_owned();
    }
    text.to_owned()
}

/// Why no server can be trusted by these certificates: none of them is an authority's. kubectl trusts a server's own
/// certificate that stands there.
pub(crate) fn authority_problem(certificates: Option<&[Vec<u8>]>) -> Option<Arc<str>> {
    let certificates = certificates.filter(|all| !all.is_empty())?;
    certificates.iter().all(|der| !may_sign(der)).then(|| {
        "its certificate-authority is no authority but the certificate of a server: put the certificate there that \
         signed it"
            .into()
    })
}

/// Whether a certificate in DER may sign others: one of version 1 says nothing of it, and a later one says `CA:TRUE` in
/// its basic constraints (RFC 5280 §4.2.1.9).
fn may_sign(der: &[u8]) -> bool {
    // The version stands first in the certificate's body: [0] { INTEGER }.
    const VERSION: &[u8] = &[0xA0, 0x03, 0x02, 0x01];
    const CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1D, 0x13];
    const TRUE: &[u8] = &[0x01, 0x01, 0xFF];
    let start = der.get(..16).unwrap_or(der);
    if find(start, VERSION).is_none() {
        return true;
    }
    let Some(rest) = find(der, CONSTRAINTS) else { return false };
    // Perhaps `critical`, then an OCTET STRING with a SEQUENCE in it that begins with `cA`.
    let rest = rest.strip_prefix(TRUE).unwrap_or(rest);
    matches!(rest, [0x04, _, 0x30, _, constraints @ ..] if constraints.starts_with(TRUE))
}

/// What follows the first occurrence.
fn find<'a>(text: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(part.len()).position(|window| window == part)?;
    text.get(at + part.len()..)
}
