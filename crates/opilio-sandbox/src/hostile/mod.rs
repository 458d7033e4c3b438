//! A server that misbehaves in every way: each misbehaviour on a host of its own, beside healthy pages.
//!
//! [`Hostile::start`] serves on 127.66.0.0/16. Every [`Trouble`] states its misbehaviour and how a crawler's
//! URL must end there. The index links all of them and the healthy pages. Each troubled host also has a
//! healthy page `/ok`, which shows whether a crawler punishes a whole host for one bad URL. A listener
//! outside that network stands for private addresses in every notation: no crawler may connect to it.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use opilio_sandbox::hostile::Hostile;
//!
//! let hostile = Hostile::start()?;
//! assert!(hostile.troubles().len() >= 50);
//! let mut wire = TcpStream::connect(hostile.index_addr())?;
//! wire.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! wire.read_to_string(&mut answer)?;
//! assert!(answer.contains("dripping-body"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod act;
mod coding;
mod serve;
mod table;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use act::Act;
pub use serve::{Hostile, HostileBuilder, HostileError};

/// One way to misbehave.
pub struct Trouble {
    name: String,
    does: String,
    ends: Ends,
    ok: Ends,
    large: bool,
    place: TroublePlace,
    url: String,
    ok_url: Option<String>,
}

/// How a URL must end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ends {
    /// As a page.
    Page,
    /// As a failure for one of these reasons; several if a crawler cannot distinguish them.
    Failure(&'static [&'static str]),
    /// In any way, after at most this many pages of its host.
    Trap(u64),
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trouble")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl Trouble {
    /// A stable word or two for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The misbehaviour, for people.
    #[must_use]
    pub fn does(&self) -> &str {
        &self.does
    }

    /// Where it is met: an absolute URL, spelled as the index does.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How that URL must end.
    #[must_use]
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Whether its page is one of 2 to 17 MiB, so a crawl needs that much memory to read it.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.large
    }

    /// A healthy page on the same host, and how it must end: mostly as a page.
    #[must_use]
    pub fn ok(&self) -> Option<(&str, &Ends)> {
        self.ok_url.as_deref().map(|url| (url, &self.ok))
    }

    /// A trouble at a path of a host whose robots.txt is missing and whose `/ok` is healthy.
    fn at(
        name: &str,
        does: &str,
        ends: Ends,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, does, ends, TroublePlace::Path(Arc::new(script)))
    }

    fn new(name: &str, does: &str, ends: Ends, place: TroublePlace) -> Self {
        Self {
            name: name.to_owned(),
            does: does.to_owned(),
            ends,
            ok: Ends::Page,
            large: false,
            place,
            url: String::new(),
            ok_url: None,
        }
    }

    /// It is a page of 2 to 17 MiB.
    fn large(mut self) -> Self {
        self.large = true;
        self
    }

    /// The healthy page of its host ends so.
    fn while_ok(mut self, ends: Ends) -> Self {
        self.ok = ends;
        self
    }
}

/// Where a trouble is.
enum TroublePlace {
    /// At `/{name}` and below, on a host of its own.
    Path(TroubleScript),
    /// On a whole host, robots.txt included; met at `/ok`.
    Host(TroubleScript),
    /// Behind TLS, on a host of its own.
    Tls(tls::Kind),
    /// Nowhere: the URL itself is the trouble.
    Url(String),
}

/// Decides a host's answer.
type TroubleScript = Arc<dyn Fn(&Asked) -> Vec<Act> + Send + Sync>;

/// A request, as far as scripts care.
#[derive(Debug)]
struct Asked {
    /// With the query.
    path: String,
    /// Requests that this host had before.
    count: u64,
}

/// The addresses that the table refers to.
#[derive(Clone, Copy, Debug)]
struct Targets {
    /// The address that no crawler may connect to.
    forbidden: SocketAddr,
    /// The year that it is, for calendars.
    year: u16,
}
