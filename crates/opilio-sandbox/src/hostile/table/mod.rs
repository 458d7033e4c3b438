//! The table of all misbehaviours, grouped by the faulty part: the body, the connection, the head and so on.

mod bodies;
mod connections;
mod heads;
mod markup;
mod redirects;
mod robots;
mod secure;
mod traps;

use std::time::Duration;

use super::act::{Act, head};
use super::{Ends, Targets, Trouble};

pub(super) fn all(targets: &Targets) -> Vec<Trouble> {
    let mut all = Vec::new();
    all.extend(connections::troubles());
    all.extend(heads::troubles());
    all.extend(bodies::troubles());
    all.extend(markup::troubles());
    all.extend(redirects::troubles(targets));
    all.extend(robots::troubles(targets));
    all.extend(secure::troubles());
    all.extend(traps::troubles(targets));
    all
}

/// Makes a trouble that performs the same acts at every request.
fn acts(name: &str, does: &str, ends: Ends, acts: Vec<Act>) -> Trouble {
    Trouble::at(name, does, ends, move |_| acts.clone())
}

/// Returns acts that send a head with these header fields, and then perform the acts of `body`.
fn answer(fields: &str, body: Vec<Act>) -> Vec<Act> {
    let mut acts = vec![head("200 OK", fields)];
    acts.extend(body);
    acts
}

const fn fails(reasons: &'static [&'static str]) -> Ends {
    Ends::Failure(reasons)
}

const RESET: Ends = fails(&["reset"]);
const TIMEOUT: Ends = fails(&["timeout"]);
const PROTOCOL: Ends = fails(&["protocol"]);
const TOO_LARGE: Ends = fails(&["body_too_large"]);
const TOO_MANY_HEADERS: Ends = fails(&["too_many_headers"]);
const UNDECODABLE: Ends = fails(&["undecodable"]);
const BOMB: Ends = fails(&["decompression_bomb"]);
const BAD_REDIRECT: Ends = fails(&["bad_redirect"]);
const BLOCKED: Ends = fails(&["blocked_address"]);

const SECOND: Duration = Duration::from_secs(1);
const HTML: &str = "Content-Type: text/html\r\n";
const CHUNKED: &str = "Content-Type: text/html\r\nTransfer-Encoding: chunked\r\n";
const LONG: &str = "Content-Type: text/html\r\nContent-Length: 100000\r\n";
