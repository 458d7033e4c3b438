//! Certificates for TLS hosts: one that the sandbox's own authority has signed, and one for each possible flaw.

use std::fmt;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

/// The kind of a TLS host: the flaw that it has, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TlsKind {
    /// No flaw: the sandbox's authority has signed the certificate for this address.
    Good,
    /// The certificate is signed with its own key, and not by an authority.
    SelfSigned,
    /// The certificate was valid until 2020.
    Expired,
    /// The certificate will be valid from 2090 on.
    NotYet,
    /// The certificate is for another host.
    WrongHost,
    /// An unknown authority signed the certificate.
    Stranger,
    /// The handshake is never answered.
    Stalled,
    /// The server closes the connection instead of answering the handshake.
    Closed,
    /// The server speaks plain HTTP instead of TLS.
    Plain,
}

/// The authority of the sandbox, the authority's key, and the certificates of all kinds of hosts.
#[derive(Clone)]
pub(super) struct Certificates(Arc<Made>);

struct Made {
    authority_pem: String,
    good: Pair,
    expired: Pair,
    not_yet: Pair,
    wrong_host: Pair,
    self_signed: Pair,
    stranger: Pair,
}

/// A certificate and its key in PKCS #8.
type Pair = (CertificateDer<'static>, Vec<u8>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl Certificates {
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let authority = authority_named("Hostile test authority")?;
        let stranger = authority_named("Nobody knows this authority")?;
        Ok(Self(Arc::new(Made {
            authority_pem: authority.pem(),
            good: signed(&authority, (2020, 2090), true)?,
            expired: signed(&authority, (2010, 2020), true)?,
            not_yet: signed(&authority, (2090, 2095), true)?,
            wrong_host: signed(&authority, (2020, 2090), false)?,
            self_signed: self_signed()?,
            stranger: signed(&stranger, (2020, 2090), true)?,
        })))
    }

    pub(super) fn authority_pem(&self) -> &str {
        &self.0.authority_pem
    }

    /// Returns the TLS settings with the certificate of this kind. For kinds whose handshake never ends, this is
    /// the certificate without a flaw.
    pub(super) fn acceptor(&self, kind: TlsKind) -> TlsAcceptor {
        let (certificate, key) = match kind {
            TlsKind::SelfSigned => &self.0.self_signed,
            TlsKind::Expired => &self.0.expired,
            TlsKind::NotYet => &self.0.not_yet,
            TlsKind::WrongHost => &self.0.wrong_host,
            TlsKind::Stranger => &self.0.stranger,
            TlsKind::Good | TlsKind::Stalled | TlsKind::Closed | TlsKind::Plain => &self.0.good,
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.clone()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the protocol versions that rustls calls safe")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("the key was made for the certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

fn authority_named(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2095, 1, 1);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn signed(
    authority: &CertifiedIssuer<'static, KeyPair>,
    (from, to): (i32, i32),
    own_name: bool,
) -> Result<Pair, rcgen::Error> {
    let params = params((from, to), own_name)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok((certificate.der().clone(), key.serialize_der()))
}

fn self_signed() -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = params((2020, 2090), true)?.self_signed(&key)?;
    Ok((certificate.der().clone(), key.serialize_der()))
}

/// Returns the parameters of a certificate. There are only a few TLS hosts, so one certificate names all addresses
/// that they can have.
fn params((from, to): (i32, i32), own_name: bool) -> Result<CertificateParams, rcgen::Error> {
    let names = match own_name {
        true => (0..=511_u16).map(|n| format!("127.66.{}.{}", n >> 8, n & 0xff)).collect(),
        false => vec!["somebody-else.example".to_owned()],
    };
    let mut params = CertificateParams::new(names)?;
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    Ok(params)
}
