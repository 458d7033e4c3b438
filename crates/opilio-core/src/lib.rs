//! The data types and the rules of Opilio.
//!
//! Everything here is pure: no clock, no runtime, no socket, no randomness of its own. The caller passes the
//! time as a [`Timestamp`] and chance as a seed. So each rule can be property-tested, and a million hosts can
//! be simulated in virtual time.

pub mod canonical;
pub mod explain;
#[doc(hidden)]
pub mod fuzz;
mod hints;
pub mod host;
mod host_pattern;
pub mod intake;
pub mod name;
mod order;
pub mod outcome;
pub mod policy;
mod proxy;
pub mod rate;
pub mod record;
pub mod retry;
pub mod scheduling;
mod session_ids;
pub mod sink;
mod statuses;
pub mod time;
mod tracking;
pub mod validators;
pub mod verdict;

pub use canonical::{Fingerprint, canonicalize};
pub use explain::{Explanation, explain};
pub use host_pattern::{BadHostPattern, HostPattern, is_below};
pub use name::{Group, Host, NameError, Origin, PerScheme, Scheme, redacted, registrable_domain};
pub use order::Order;
pub use outcome::{Blame, Fault, Outcome, Reason};
pub use policy::{Backoff, HostPolicy};
pub use proxy::{BadProxy, Proxy};
pub use rate::{Rate, RateError, per_hour, per_minute, per_second};
pub use record::{Attempts, Ending, Lease, LeaseId, Priority, Record, RecordKind, Score};
pub use retry::{OutcomeClass, RequestFacts, RetryPolicy, Rule, Wait};
pub use session_ids::{is_session_id, without_session_ids};
pub use sink::SinkPosition;
pub use statuses::Statuses;
pub use time::Timestamp;
pub use tracking::strip_tracking;
pub use validators::Validators;
pub use verdict::{Hints, Proposal, Quota, Verdict};

/// The default `User-Agent` of requests.
pub const USER_AGENT: &str =
    concat!("Opilio/", env!("CARGO_PKG_VERSION"), " (+https://github.com/opilio/opilio)");
