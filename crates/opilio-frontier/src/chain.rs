//! How a URL ends that is redirected to a URL that the crawl knows already: in the same way as the last URL of the
//! redirects that follow from there (the chain).
//!
//! A store keeps the reason of each failed URL and the target of each redirected URL. It keeps no such entry for a
//! URL that ended as a page, so a crawl without redirects and failures stores nothing here. To find the end of a
//! redirected URL, the store follows these entries from the target to the last URL. If the last URL has ended, the
//! redirected URL ends in the same way. If the last URL is queued or leased, the redirected URL waits for its end. If
//! the entries lead back to an earlier URL of the chain, the redirects form a ring, and the redirected URL fails.

use std::sync::Arc;

use opilio_core::{Attempts, Fingerprint, Lease, Reason, Record, Timestamp};

/// A redirect that a server answered with: the target, and what to do if the crawl knows the target already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The URL to fetch next. When it ends, the origin of the chain (the first URL of the redirects) ends in the same
    /// way.
    pub target: Record,
    /// When the target may be requested, if the answer with the redirect stated a wait.
    pub due: Option<Timestamp>,
    /// Whether this answer, or an earlier answer of the chain, set a cookie that the crawl keeps.
    pub sets_cookie: bool,
    /// When to request the origin of the chain again, if the target is known.
    pub again: Again,
    /// The number of requests that were made for the URL so far.
    pub attempts: Attempts,
}

impl From<Record> for Redirect {
    fn from(target: Record) -> Self {
        Self { target, due: None, sets_cookie: false, again: Again::Never, attempts: Attempts::NONE }
    }
}

/// When the origin of a chain is requested again, if the chain leads to a known URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// Never: the origin was requested a second time already, or the crawl keeps no cookies.
    #[default]
    Never,
    /// If one of the redirects that follow from the target set a cookie. Such a redirect was an answer to the chain
    /// of another URL.
    BehindWall,
    /// In any case: an answer to this chain itself set a cookie.
    Always,
}

impl Again {
    #[cfg(feature = "disk")]
    pub(crate) const ALL: [Self; 3] = [Self::Never, Self::BehindWall, Self::Always];
}

/// A redirected URL that waited for a known URL, now that the store knows how the known URL ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// A new lease on the redirected URL. The URL is not requested again; the lease only has to be settled.
    pub lease: Lease,
    /// The known URL that the redirects lead to.
    pub target: Arc<str>,
    /// How the known URL ended.
    pub known: Known,
}

/// The end of a known URL to which a redirect leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The known URL ended as a page or as an alias of a page, so the redirected URL is an alias.
    Page,
    /// The known URL failed, so the redirected URL fails for the same reason.
    Failed(Reason),
    /// One of the redirects that follow from the target set a cookie, as a consent or login page may do. With that
    /// cookie, the server may now answer the origin of the chain with its page.
    Wall,
    /// An answer to this chain itself set such a cookie, so the server may now answer the origin of the chain with
    /// its page.
    OwnWall,
}

/// How a URL ended, if it did not end as a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlEnd {
    Failed(Reason),
    LedTo { to: Fingerprint, sets_cookie: bool },
}

/// The state of one URL of a chain.
pub(crate) enum Stop {
    /// The URL ended as a page.
    Page,
    Ended(UrlEnd),
    /// The URL is queued or leased: it has not ended.
    Open,
}

/// The result of following a chain of known URLs to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainEnd {
    Is(Known),
    /// The chain leads to the URL `at`, which has not ended. If `behind_wall` is true, a redirect on the way set a
    /// cookie; then the origin is requested again, however `at` ends.
    Open {
        at: Fingerprint,
        behind_wall: bool,
    },
}

/// Follows a chain from a redirect's target to its end. `look_up` returns the state of a URL.
pub(crate) fn judge<E>(
    target: Fingerprint,
    again: Again,
    mut look_up: impl FnMut(Fingerprint) -> Result<Stop, E>,
) -> Result<ChainEnd, E> {
    if again == Again::Always {
        return Ok(ChainEnd::Is(Known::OwnWall));
    }
    let mut behind_wall = false;
    // Brent's algorithm to find rings: after 1, 2, 4, … steps, `mark` is set to the current URL. If the chain comes
    // to `mark` again, it is a ring.
    let (mut at, mut mark, mut until) = (target, target, 1);
    for steps in 1..=STEPS_MAX {
        let ended = match look_up(at)? {
            Stop::Page => Known::Page,
            Stop::Ended(UrlEnd::Failed(reason)) => Known::Failed(reason),
            Stop::Open => return Ok(ChainEnd::Open { at, behind_wall }),
            Stop::Ended(UrlEnd::LedTo { to, sets_cookie }) => {
                behind_wall |= sets_cookie && again == Again::BehindWall;
                at = to;
                if at != mark {
                    if steps == until {
                        (mark, until) = (at, until * 2);
                    }
                    continue;
                }
                Known::Failed(Reason::RedirectLoop)
            }
        };
        return Ok(ChainEnd::Is(if behind_wall { Known::Wall } else { ended }));
    }
    Ok(ChainEnd::Is(Known::Failed(Reason::TooManyRedirects)))
}

/// The most known redirects that are followed in a row. Only a server that generates redirects without end has longer
/// chains, and without this limit each new redirect of such a server would make the store follow all earlier ones
/// again.
const STEPS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use super::*;

    fn open(at: u128, behind_wall: bool) -> ChainEnd {
        ChainEnd::Open { at: Fingerprint(at), behind_wall }
    }

    fn way(links: &[(u128, u128)], ends: &[(u128, UrlEnd)], from: u128, again: Again) -> ChainEnd {
        let mut ends: HashMap<_, _> = ends.iter().copied().collect();
        let led = |to| UrlEnd::LedTo { to: Fingerprint(to), sets_cookie: to == 9 };
        ends.extend(links.iter().map(|(from, to)| (*from, led(*to))));
        let look_up = |at: Fingerprint| {
            let end = ends.get(&at.0).map(|end| Stop::Ended(*end));
            Ok::<_, Infallible>(end.unwrap_or(if at.0 > 100 { Stop::Page } else { Stop::Open }))
        };
        match judge(Fingerprint(from), again, look_up) {
            Ok(judged) => judged,
            Err(never) => match never {},
        }
    }

    #[test]
    fn a_way_ends_where_its_last_url_did_and_waits_for_one_that_is_under_way() {
        let links = [(1, 2), (2, 3)];
        assert_eq!(way(&links, &[], 1, Again::Never), open(3, false));
        let failed = [(3, UrlEnd::Failed(Reason::Timeout))];
        assert_eq!(way(&links, &failed, 1, Again::Never), ChainEnd::Is(Known::Failed(Reason::Timeout)));
        assert_eq!(way(&[(1, 2), (2, 101)], &[], 1, Again::Never), ChainEnd::Is(Known::Page));
        assert_eq!(way(&[], &[], 101, Again::BehindWall), ChainEnd::Is(Known::Page));
    }

    #[test]
    fn rings_of_every_length_are_found_from_every_place_before_them() {
        for length in 1..70_u128 {
            let links: Vec<_> = (0..40 + length)
                .map(|n| (1_000 + n, if n + 1 < 40 + length { 1_001 + n } else { 1_040 }))
                .collect();
            for from in [1_000, 1_013, 1_039, 1_040, 1_040 + length / 2] {
                let judged = way(&links, &[], from, Again::Never);
                assert_eq!(judged, ChainEnd::Is(Known::Failed(Reason::RedirectLoop)), "{length} from {from}");
            }
        }
    }

    #[test]
    fn a_cookie_on_the_way_lets_a_chain_ask_again_that_has_not_done_so() {
        let links = [(1, 9), (9, 101)];
        assert_eq!(way(&links, &[], 1, Again::BehindWall), ChainEnd::Is(Known::Wall));
        assert_eq!(way(&links, &[], 1, Again::Never), ChainEnd::Is(Known::Page));
        assert_eq!(way(&[(1, 9)], &[], 1, Again::BehindWall), open(9, true), "not yet");
        assert_eq!(way(&[], &[], 7, Again::Always), ChainEnd::Is(Known::OwnWall));
        let ring = way(&[(1, 9), (9, 1)], &[], 1, Again::BehindWall);
        assert_eq!(ring, ChainEnd::Is(Known::Wall), "a ring only for whoever has no cookie");
    }

    #[test]
    fn a_way_without_end_is_given_up() {
        let links: Vec<_> = (1_000..20_000).map(|n| (n, n + 1)).collect();
        assert_eq!(
            way(&links, &[], 1_000, Again::Never),
            ChainEnd::Is(Known::Failed(Reason::TooManyRedirects))
        );
    }
}
