//! A certificate instead of a password: a signed assertion, made again for each token (RFC 7523; Microsoft's form of it
//! in "Microsoft identity platform application authentication certificate credentials").
//!
//! azure_identity has this too, over OpenSSL; here the one TLS library of the process signs.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use data_encoding::BASE64URL_NOPAD;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

/// How long an assertion is good for, in seconds; it is used at once.
const LIFE: u64 = 600;

/// A file with a certificate and its key, read each time: it may be renewed.
#[derive(Debug)]
pub(super) struct Certificate {
    file: PathBuf,
    client: String,
    /// Whom the assertion is for.
    endpoint: String,
}

impl Certificate {
    pub(super) const fn new(file: PathBuf, client: String, endpoint: String) -> Self {
        Self { file, client, endpoint }
    }

    fn sign(&self, pem: &[u8], now: u64) -> Result<String, String> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("no private key: {error}"))?;
        let certificate =
            CertificateDer::from_pem_slice(pem).map_err(|error| format!("no certificate: {error}"))?;
        let key = any_supported_type(&key).map_err(|error| error.to_string())?;
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).ok_or("the key is no RSA key")?;
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": BASE64URL_NOPAD.encode(digest(&SHA256, &certificate).as_ref()) });
        let mut unique = [0; 16];
        rand::fill(&mut unique).map_err(|_| "no random numbers")?;
        let claims = json!({
            "aud": self.endpoint, "iss": self.client, "sub": self.client,
            "jti": BASE64URL_NOPAD.encode(&unique),
            "iat": now, "nbf": now, "exp": now + LIFE,
        });
        let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let text = format!("{}.{}", encode(&header), encode(&claims));
        let signature = signer.sign(text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(format!("{text}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}

#[async_trait::async_trait]
impl ClientAssertion for Certificate {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let bad = |why: String| {
            let message = format!("the certificate file {} cannot be used: {why}", self.file.display());
            Error::with_message(ErrorKind::Other, message)
        };
        let pem = tokio::fs::read(&self.file).await.map_err(|error| bad(error.to_string()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| bad(error.to_string()))?;
        self.sign(&pem, now.as_secs()).map_err(bad)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData};

    use super::*;

    #[test]
    fn an_assertion_is_signed_for_one_use_and_verifies() {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let certificate = CertificateParams::new(vec![]).unwrap().self_signed(&pair).unwrap();
        let pem = format!("{}{}", pair.serialize_pem(), certificate.pem());
        let signer = Certificate::new("/c".into(), "app".to_owned(), "https://login/t".to_owned());
        let [one, two] = [(); 2].map(|()| signer.sign(pem.as_bytes(), 1_000).unwrap());
        assert_ne!(one, two);
        let parts: Vec<&str> = one.split('.').collect();
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
        let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
        let claims: Value = serde_json::from_slice(&decode(parts[1])).unwrap();
        let thumbprint = digest(&SHA256, certificate.der());
        assert_eq!(header["x5t#S256"], BASE64URL_NOPAD.encode(thumbprint.as_ref()));
        assert_eq!(
            (&claims["aud"], &claims["iss"], &claims["sub"]),
            (&json!("https://login/t"), &json!("app"), &json!("app"))
        );
        assert_eq!((&claims["nbf"], &claims["exp"]), (&json!(1_000), &json!(1_600)));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let algorithms = provider.signature_verification_algorithms.mapping;
        let (_, found) =
            algorithms.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PSS_SHA256).unwrap();
        let message = one.rsplit_once('.').unwrap().0;
        found[0].verify_signature(pair.der_bytes(), message.as_bytes(), &decode(parts[2])).unwrap();
    }

    #[test]
    fn a_file_that_cannot_sign_says_why() {
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![]).unwrap().self_signed(&pair).unwrap();
        let signer = Certificate::new("/c".into(), "app".to_owned(), String::new());
        let why = |pem: String| signer.sign(pem.as_bytes(), 0).unwrap_err();
        assert!(why(certificate.pem()).contains("no private key"));
        assert!(why(pair.serialize_pem()).contains("no certificate"));
        assert!(why(pair.serialize_pem() + &certificate.pem()).contains("no RSA key"));
    }
}
