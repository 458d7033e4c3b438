//! What redirects of known URLs come to: how the URL ended that a chain leads to.
//!
//! A store keeps of each URL that failed why, and of each that led on where to. What ended as a page has
//! no such entry: a crawl without redirects and failures keeps nothing here. From a redirect's target a
//! store goes along these entries to the URL that they end at. If that ended, so did the redirect; if it
//! is still under way, the redirect waits for it; if the way comes back to where it was, it is a ring.

use std::sync::Arc;

use opilio_core::{Attempts, Fingerprint, Lease, Reason, Record, Timestamp};

/// Where a URL leads, and what its chain may do when that URL is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// What to fetch next, in the name of the chain's origin.
    pub target: Record,
    /// Not before this instant, if the answer stated a wait.
    pub due: Option<Timestamp>,
    /// An answer of the chain, this one or one before, set a cookie that the crawl keeps.
    pub sets_cookie: bool,
    /// Whether the chain's origin may be asked again when the target is known.
    pub again: Again,
    /// Requests that were made for the URL.
    pub attempts: Attempts,
}

impl From<Record> for Redirect {
    fn from(target: Record) -> Self {
        Self { target, due: None, sets_cookie: false, again: Again::Never, attempts: Attempts::NONE }
    }
}

/// When the origin of a chain that leads to a known URL is asked again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// Never: it was asked again already, or cookies are not kept.
    #[default]
    Never,
    /// When a cookie was set on the way that another chain took from the target.
    BehindWall,
    /// In any case: a cookie was set on the way that its own chain took.
    Always,
}

impl Again {
    #[cfg(feature = "disk")]
    pub(crate) const ALL: [Self; 3] = [Self::Never, Self::BehindWall, Self::Always];
}

/// A redirected URL of which a store has found out what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// A new lease on it: no request is due, only its end.
    pub lease: Lease,
    /// The known URL that it led to.
    pub target: Arc<str>,
    /// What that came to.
    pub known: Known,
}

/// What the known URL came to that a redirect leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It ended as a page, or as an alias of one: the redirected URL is an alias.
    Page,
    /// It failed: the redirected URL fails for the same reason.
    Failed(Reason),
    /// Its way sets a cookie (a consent or login wall), as another chain found out: the origin may show its
    /// page now.
    Wall,
    /// It is known, and its own chain has passed such a wall: the same.
    OwnWall,
}

/// What a store keeps of a URL that did not end as a page by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Failed(Reason),
    LedTo { to: Fingerprint, sets_cookie: bool },
}

/// What is known of a URL on the way.
pub(crate) enum Stop {
    /// It ended as a page.
    Page,
    Fate(Fate),
    /// Nothing: it is under way.
    Open,
}

/// What a way comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Is(Known),
    /// This URL is under way, and the rest hangs on it. Behind a wall it does not matter how it ends.
    Open {
        at: Fingerprint,
        behind_wall: bool,
    },
}

/// Goes from a redirect's target to the URL that its way ends at.
pub(crate) fn judge<E>(
    target: Fingerprint,
    again: Again,
    mut look_up: impl FnMut(Fingerprint) -> Result<Stop, E>,
) -> Result<Judged, E> {
    if again == Again::Always {
        return Ok(Judged::Is(Known::OwnWall));
    }
    let mut behind_wall = false;
    // Brent's: the mark moves to where the way is after 1, 2, 4, … steps, and a ring comes back to it.
    let (mut at, mut mark, mut until) = (target, target, 1);
    for steps in 1..=STEPS_MAX {
        let ended = match look_up(at)? {
            Stop::Page => Known::Page,
            Stop::Fate(Fate::Failed(reason)) => Known::Failed(reason),
            Stop::Open => return Ok(Judged::Open { at, behind_wall }),
            Stop::Fate(Fate::LedTo { to, sets_cookie }) => {
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
        return Ok(Judged::Is(if behind_wall { Known::Wall } else { ended }));
    }
    Ok(Judged::Is(Known::Failed(Reason::TooManyRedirects)))
}

/// Redirects in a row that are known and looked through. No site has so many by chance, and each redirect looks
/// through them.
const STEPS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use super::*;

    fn open(at: u128, behind_wall: bool) -> Judged {
        Judged::Open { at: Fingerprint(at), behind_wall }
    }

    fn way(links: &[(u128, u128)], ends: &[(u128, Fate)], from: u128, again: Again) -> Judged {
        let mut fates: HashMap<_, _> = ends.iter().copied().collect();
        let led = |to| Fate::LedTo { to: Fingerprint(to), sets_cookie: to == 9 };
        fates.extend(links.iter().map(|(from, to)| (*from, led(*to))));
        let look_up = |at: Fingerprint| {
            let fate = fates.get(&at.0).map(|fate| Stop::Fate(*fate));
            Ok::<_, Infallible>(fate.unwrap_or(if at.0 > 100 { Stop::Page } else { Stop::Open }))
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
        let failed = [(3, Fate::Failed(Reason::Timeout))];
        assert_eq!(way(&links, &failed, 1, Again::Never), Judged::Is(Known::Failed(Reason::Timeout)));
        assert_eq!(way(&[(1, 2), (2, 101)], &[], 1, Again::Never), Judged::Is(Known::Page));
        assert_eq!(way(&[], &[], 101, Again::BehindWall), Judged::Is(Known::Page));
    }

    #[test]
    fn rings_of_every_length_are_found_from_every_place_before_them() {
        for length in 1..70_u128 {
            let links: Vec<_> = (0..40 + length)
                .map(|n| (1_000 + n, if n + 1 < 40 + length { 1_001 + n } else { 1_040 }))
                .collect();
            for from in [1_000, 1_013, 1_039, 1_040, 1_040 + length / 2] {
                let judged = way(&links, &[], from, Again::Never);
                assert_eq!(judged, Judged::Is(Known::Failed(Reason::RedirectLoop)), "{length} from {from}");
            }
        }
    }

    #[test]
    fn a_cookie_on_the_way_lets_a_chain_ask_again_that_has_not_done_so() {
        let links = [(1, 9), (9, 101)];
        assert_eq!(way(&links, &[], 1, Again::BehindWall), Judged::Is(Known::Wall));
        assert_eq!(way(&links, &[], 1, Again::Never), Judged::Is(Known::Page));
        assert_eq!(way(&[(1, 9)], &[], 1, Again::BehindWall), open(9, true), "not yet");
        assert_eq!(way(&[], &[], 7, Again::Always), Judged::Is(Known::OwnWall));
        let ring = way(&[(1, 9), (9, 1)], &[], 1, Again::BehindWall);
        assert_eq!(ring, Judged::Is(Known::Wall), "a ring only for whoever has no cookie");
    }

    #[test]
    fn a_way_without_end_is_given_up() {
        let links: Vec<_> = (1_000..20_000).map(|n| (n, n + 1)).collect();
        assert_eq!(
            way(&links, &[], 1_000, Again::Never),
            Judged::Is(Known::Failed(Reason::TooManyRedirects))
        );
    }
}
