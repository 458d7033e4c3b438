//! A server that misbehaves in many ways. Each misbehaviour has a host of its own; further hosts serve healthy
//! pages.
//!
//! [`Hostile::start`] serves on 127.66.0.0/16. Every [`Trouble`] describes its misbehaviour and how a crawler must
//! report its URL. The index page links to all troubles and to the healthy pages. Each host with a trouble also has
//! a healthy page `/ok`, which shows whether a crawler stops fetching a whole host because of one bad URL. A
//! listener outside that network stands for private addresses. URLs name its address in many notations, and no
//! crawler may connect to it.
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

/// One misbehaviour of a server: its description, its URL, and how the crawl of this URL must end.
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

/// The required end of the crawl of a URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ends {
    /// The URL must end as a page.
    Page,
    /// The URL must end as a failure for one of these reasons. There are several if a crawler cannot tell them
    /// apart.
    Failure(&'static [&'static str]),
    /// The URL may end in any way, but the crawler may fetch at most this many pages of its host.
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
    /// Returns the trouble's name: one or two words, which never change.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a description of the misbehaviour, for people.
    #[must_use]
    pub fn does(&self) -> &str {
        &self.does
    }

    /// Returns the absolute URL at which the misbehaviour happens, spelled as on the index page.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns how the crawl of that URL must end.
    #[must_use]
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Returns whether the trouble's page has 2 to 17 MiB, so that reading it takes that much memory.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.large
    }

    /// Returns the URL of the healthy page on the same host, and how its crawl must end: usually as a page.
    #[must_use]
    pub fn ok(&self) -> Option<(&str, &Ends)> {
        self.ok_url.as_deref().map(|url| (url, &self.ok))
    }

    /// Makes a trouble at one path of a host. The host has no robots.txt, and its page `/ok` is healthy.
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

    /// Marks the trouble as a page of 2 to 17 MiB.
    fn large(mut self) -> Self {
        self.large = true;
        self
    }

    /// Sets how the crawl of the host's healthy page must end.
    fn while_ok(mut self, ends: Ends) -> Self {
        self.ok = ends;
        self
    }
}

/// The place where the misbehaviour happens.
enum TroublePlace {
    /// At `/{name}` and the paths below, on a host of its own.
    Path(TroubleScript),
    /// On a whole host, including its robots.txt. The trouble's URL is `/ok`.
    Host(TroubleScript),
    /// In the TLS handshake or certificate of a host of its own.
    Tls(tls::TlsKind),
    /// On no host: the URL itself is the trouble.
    Url(String),
}

/// A function that returns a host's answer to a request, as acts.
type TroubleScript = Arc<dyn Fn(&Asked) -> Vec<Act> + Send + Sync>;

/// The facts about a request that scripts use.
#[derive(Debug)]
struct Asked {
    /// The path, with the query.
    path: String,
    /// The number of earlier requests to this host.
    count: u64,
}

/// The addresses and the year that the pages of the table refer to.
#[derive(Clone, Copy, Debug)]
struct Targets {
    /// The address that no crawler may connect to.
    forbidden: SocketAddr,
    /// The current year, for pages with calendars.
    year: u16,
}
