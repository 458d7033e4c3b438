//! Makes the TLS settings, which accept either certificates of the system's certificate authorities, or any
//! certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::{SetupError, Tls};

/// Returns the TLS settings, and the reason why the system's trust store of certificates cannot be used, if there is
/// one.
pub(super) fn tls_config(trust: Tls) -> Result<(rustls::ClientConfig, Option<Arc<str>>), SetupError> {
    // ring is used, because it needs neither cmake nor a long build. It is chosen only here and not installed for
    // the whole process, since that choice is the application's.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?;
    let (mut config, untrusting) = match (trust, Verifier::new(provider.clone())) {
        (Tls::Anybody, _) => {
            let verifier = Arc::new(Trusting::new(&provider));
            (builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth(), None)
        }
        (Tls::System, Ok(verifier)) => {
            let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
            (config.with_no_client_auth(), None)
        }
        (Tls::System, Err(error)) => {
            let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
            (config, Some(format!("the system has no certificate authorities ({error})").into()))
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, untrusting))
}

/// A verifier that accepts every certificate. The signatures of the handshake are still checked.
#[derive(Debug)]
struct Trusting(WebPkiSupportedAlgorithms);

impl Trusting {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
