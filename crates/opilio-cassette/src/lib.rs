//! Cassettes: files with the exchanges of a crawl, from which the same requests are answered later.
//!
//! A cassette is a WARC 1.1 file. [`Recording`] records the traffic of a crawl's transport, [`CassetteDraft`] writes
//! the file, [`Cassette::load`] reads it, also if another tool has written it, and [`Replay`] answers from it.
//!
//! # Secrets
//! Unless the recording keeps them, a cassette has no logins (user info, `Authorization`), no values of cookies, no
//! header fields that the crawl marks as secret, and no values of parameters, forms, JSON and header fields whose
//! names look like those of passwords, keys, signatures, tokens or session ids. A body in which such names stand and
//! that cannot be read (several JSON values, XML, forms with files) is left out as a whole. URLs in header fields
//! lose their fragments and secrets, too. [`Recording::secret_names`] adds names. The content of pages is recorded as
//! it is.
//!
//! Two requests that differ only in a secret are told apart in a replay if the secret has several values in the
//! recording, such as the cursor of an API (`token=…`): a cassette has a hash of such a value if it has at least 16
//! characters and is not a password. A secret with one value in the whole recording matches any value, so that a
//! replay needs no login. Names of cursors such as `pageToken` are not secrets.

mod cassette;
mod draft;
mod exchange;
mod http_text;
mod recorder;
mod replay;
mod secrets;
mod tape;
mod warc;

pub use cassette::{Cassette, CassetteError};
pub use draft::CassetteDraft;
pub use exchange::{RecordedAnswer, RecordedExchange, RecordedFault, RecordedRequest, RequestKey};
pub use recorder::Recording;
pub use replay::{Replay, deliver};
pub use secrets::without_secrets;
pub use tape::{MissingAnswer, Tape};
