//! A local copy of the shop Catalog108, which records the requests of a crawler, to check whether the crawler is
//! polite.
//!
//! The sandbox uses no other Opilio crate, so it judges a crawler only by what a server receives. It has two
//! layers.
//!
//! - **The rules**: a [`Host`] made from a [`HostConfig`] answers an [`Ask`] with an [`Answer`], and keeps a
//!   [`Log`] of arrivals. The time is an argument; there is no clock, no socket and no runtime. Scripted
//!   transports and simulations use this layer.
//! - **The server**: a [`Sandbox`] serves hosts over HTTP/1.1 on 127.0.0.1, 127.0.0.2 and so on, in real
//!   time, with real resets and bodies that are cut off.
//!
//! The feature `hostile` adds another server, which breaks every rule of HTTP: see `hostile`.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use opilio_sandbox::{HostConfig, Limit, Sandbox};
//!
//! let host = HostConfig::new().limit(Limit::per_minute(1));
//! let sandbox = Sandbox::builder().host(host).start()?;
//! for _ in 0..2 {
//!     let mut wire = TcpStream::connect(sandbox.addr(0))?;
//!     wire.write_all(b"GET /deals HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
//!     wire.read_to_end(&mut Vec::new())?;
//! }
//! let log = sandbox.log(0);
//! assert_eq!((log.served(), log.refused()), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod catalog;
mod config;
mod edition;
mod host;
#[cfg(feature = "hostile")]
pub mod hostile;
mod limit;
mod log;
mod pages;
mod quota;
mod reply;
mod route;
mod samples;
mod server;
mod structured;

pub use catalog::{Catalog, Deal, LISTING_PAGE_SIZE, PRODUCTS_DEFAULT, Product};
pub use config::{Fault, HostConfig, PageWriter, RefusalForm, Site, Trigger};
pub use edition::Edition;
pub use host::{Answer, Ask, Host};
pub use limit::{Align, Limit};
pub use log::{Arrival, ArrivalId, Closing, Counts, Log, Statements};
pub use quota::Dialect;
pub use samples::{DateForm, Market, UNCLOSED_SIZE, WrittenDate};
pub use server::{Sandbox, SandboxBuilder, SandboxError, Stopper};
pub use structured::Structured;
