//! TLS hosts that a crawler must not trust.

use super::super::tls::TlsKind;
use super::super::{Ends, Trouble, TroublePlace};
use super::fails;

pub(super) fn troubles() -> Vec<Trouble> {
    let tls = |name: &str, does: &str, ends: Ends, kind: TlsKind| {
        Trouble::new(&format!("tls-{name}"), &format!("a certificate {does}"), ends, TroublePlace::Tls(kind))
    };
    const REFUSED: Ends = fails(&["tls"]);
    vec![
        tls("healthy", "as it should be", Ends::Page, TlsKind::Good),
        tls("self-signed", "that signed itself", REFUSED, TlsKind::SelfSigned),
        tls("expired", "that expired", REFUSED, TlsKind::Expired),
        tls("not-yet-valid", "of the future", REFUSED, TlsKind::NotYet),
        tls("wrong-host", "for another host", REFUSED, TlsKind::WrongHost),
        tls("unknown-authority", "of an authority that nobody knows", REFUSED, TlsKind::Stranger),
        // For a client, a TLS handshake without an answer looks like a connection that cannot be made.
        tls(
            "stalled",
            "that never comes: the handshake stalls",
            fails(&["connect", "tls", "host_closed"]),
            TlsKind::Stalled,
        ),
        tls(
            "closed",
            "that never comes: the connection is closed",
            fails(&["connect", "tls", "host_closed"]),
            TlsKind::Closed,
        ),
        tls(
            "plain",
            "that never comes: plain HTTP is spoken",
            fails(&["tls", "host_closed"]),
            TlsKind::Plain,
        ),
    ]
}
