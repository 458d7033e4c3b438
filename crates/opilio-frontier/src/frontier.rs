//! The `Frontier` trait: what every store can do.

use bytes::Bytes;
use opilio_core::{Host, Lease, LeaseId, Reason, SinkPosition, Timestamp};

use crate::batch::{Admission, Admitted, Settled, Settlement, Want};
use crate::chain::Decided;
use crate::error::FrontierError;
use crate::permit::Permit;
use crate::stats::{Failure, FrontierStats};

/// All known, unsettled URLs of a crawl, their order, and how the others ended.
///
/// One thread owns a store and makes every call; calls are synchronous and batch-shaped, so that a
/// shared store pays one round trip for each, and none is made per URL. Time comes in as an
/// argument. Each mutating call is one atomic commit: after a kill at any point, the store holds a
/// batch as a whole or not at all.
///
/// # Exactly once
///
/// A page is settled after its links and items are safe, in this order:
///
/// 1. [`admit`](Self::admit) its links;
/// 2. hand its items to the exporters under the next number of one sequence;
/// 3. when they report how far they have written, [`settle`](Self::settle) the leases of that prefix
///    of the sequence, together with the sinks' positions.
///
/// A lease is never stored: it is the absence of a settle. So a kill between any two steps makes
/// the page due again (its links are known by then), and its items are cut off the output when the
/// sinks are taken back to [`positions`](Self::positions).
///
/// A redirect is settled as [`Settlement::redirected`] at once: it has no output. When its target
/// is known, it waits in the store until that has ended; then [`decided`](Self::decided) gives a new lease
/// on it. Its alias line takes a number of the sequence, and it is settled as [`Settlement::alias`] in
/// step 3, or as the failure that its target is.
///
/// # The books
///
/// `discovered = filtered + admitted` and `admitted = pages + aliases + failures + left`. A redirect's
/// target is not counted when it is admitted (it ends in the name of its origin, which was), but is
/// known from then on.
///
/// They count URLs, not fetches: each URL is in one place. So a page that is made due again is *left*
/// until it ends again, as a page or otherwise; a failure that is made due again likewise; and what a
/// host's [caps](crate::caps) keep from being fetched after it was admitted moves from admitted to
/// filtered.
pub trait Frontier: Send {
    /// Takes on what was discovered; what is known changes nothing, so repeating a batch is safe.
    ///
    /// A filtered URL is remembered and counted once, under the first why. When a later discovery
    /// is in scope (at a smaller depth, say) it is admitted, and the counts move.
    ///
    /// # Errors
    /// When the store fails; then nothing of the batch is in it.
    fn admit(&mut self, batch: Vec<Admission>) -> Result<Admitted, FrontierError>;

    /// Returns at most `n` hosts that have due work without a lease; each host is returned once.
    ///
    /// The caller leases the host's work until a [`lease`](Self::lease) comes back *short* (fewer
    /// records than wanted, or none). The store then returns the host again as soon as it has due work
    /// and room under its caps. After opening, the store returns all hosts with due work.
    ///
    /// The host that waited longest comes first.
    ///
    /// Also ends a bounded number of queued records of hosts whose caps are reached.
    ///
    /// # Errors
    /// When the store fails.
    fn hosts_ready(&mut self, now: Timestamp, n: usize) -> Result<Vec<Host>, FrontierError>;

    /// When the next waiting record becomes due: call [`hosts_ready`](Self::hosts_ready) then.
    ///
    /// May lie in the past, when it has become due since the last call, or when that call left some of
    /// what it has to move or to end. No host is told before it is asked for.
    fn next_due(&self) -> Option<Timestamp>;

    /// Appends to `out` at most `n` due records of each wanted host, by priority (high first),
    /// the crawl's [`Order`](crate::Order), age (old first).
    ///
    /// A record is with one lease at a time. Leases are numbered in the order of `out`; a want that
    /// comes back short says that its host has nothing more that is due, but for what
    /// [`next_due`](Self::next_due) says is yet to be moved.
    ///
    /// # Errors
    /// When the store fails; then `out` holds no lease of this call.
    fn lease(&mut self, wants: &[Want], now: Timestamp, out: &mut Vec<Lease>) -> Result<(), FrontierError>;

    /// Records how leases ended at `now`, and how far the sinks had written by then.
    ///
    /// Positions replace those of the same sink; sinks that are not named keep theirs.
    /// Unknown leases are counted and otherwise ignored, so that a late report does no harm.
    ///
    /// # Errors
    /// When the store fails; then the leases are still out and the positions as they were.
    fn settle(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> Result<Settled, FrontierError>;

    /// Appends to `out` at most `n` of the redirected URLs that wait for a known one and whose end is
    /// decided by now, each with a new lease, which [`settle`](Self::settle) ends. Tells whether to call
    /// again at once: a call looks at some of those that wait.
    ///
    /// Those that nothing else is left to decide are decided, too: rings, and what leads to a page of
    /// which the store no longer knows that it was one. So a crawl that goes on calling comes to its end.
    ///
    /// # Errors
    /// When the store fails; then `out` holds no lease of this call.
    fn decided(&mut self, n: usize, out: &mut Vec<Decided>) -> Result<bool, FrontierError>;

    /// Whether this lease is known and not yet settled.
    fn is_out(&self, lease: LeaseId) -> bool;

    /// The permit to check immediately before a request to this host is written.
    fn permit(&self, host: &Host) -> Permit;

    /// Stores the memos of passivated hosts; a later memo replaces an earlier one.
    ///
    /// # Errors
    /// When the store fails; then no memo of the batch is kept.
    fn keep_hosts(&mut self, memos: Vec<(Host, Bytes)>) -> Result<(), FrontierError>;

    /// The last memo that was kept for a host; it stays until it is replaced. Asked for when a host
    /// comes alive.
    ///
    /// # Errors
    /// When the store fails.
    fn host_memo(&mut self, host: &Host) -> Result<Option<Bytes>, FrontierError>;

    /// Stores a note of the caller under a name; it replaces an earlier note.
    ///
    /// It is written by the next commit, whichever call makes it (at the latest by
    /// [`checkpoint`](Self::checkpoint)), so that what goes along with every settle costs no commit
    /// of its own.
    fn keep_note(&mut self, name: &'static str, note: Bytes);

    /// The note of this name.
    ///
    /// # Errors
    /// When the store fails.
    fn note(&self, name: &'static str) -> Result<Option<Bytes>, FrontierError>;

    /// Adds a text to a list of the caller's, unless it is there. It is written by the next commit, as a
    /// [note](Self::keep_note) is.
    fn keep_listed(&mut self, list: &'static str, text: &str);

    /// The texts of a list, in no order that means anything.
    ///
    /// # Errors
    /// When the store fails.
    fn listed(&self, list: &'static str) -> Result<Vec<String>, FrontierError>;

    /// How far each sink had written at the last settle that said so, by name: where the output is
    /// cut back to on resume.
    ///
    /// # Errors
    /// When the store fails.
    fn positions(&self) -> Result<Vec<SinkPosition>, FrontierError>;

    /// The books, from counters: no scan.
    fn stats(&self) -> FrontierStats;

    /// At most `n` of the URLs that ended as failures, in the order in which they did, from the
    /// `from`th on (0 is the first).
    ///
    /// # Errors
    /// When the store fails.
    fn failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError>;

    /// Makes at most `n` failures due again, the oldest first, with all their attempts; returns how
    /// many. They leave the list of [`failures`](Self::failures), whose numbers move down by as many.
    ///
    /// # Errors
    /// When the store fails; then none is due again.
    fn retry_failed(&mut self, n: usize) -> Result<u64, FrontierError>;

    /// Makes failures of one reason (or of any) due again, as [`retry_failed`](Self::retry_failed) does, but only
    /// those of hosts that `may` be asked again, which is told the host and its memo. The others stay
    /// in their order. Returns how many.
    ///
    /// # Errors
    /// When the store fails; then some may be due again already.
    fn retry_failed_for(
        &mut self,
        reason: Option<Reason>,
        may: &mut MayRetry<'_>,
    ) -> Result<u64, FrontierError>;

    /// Makes at most `n` of the pages that ended before an instant due again, the oldest first, each
    /// with the validators of its last fetch; returns how many.
    ///
    /// # Errors
    /// [`FrontierError::NoHistory`] when the store was not told to keep one; or the store fails. Then
    /// no page is due again.
    fn refresh(&mut self, before: Timestamp, n: usize) -> Result<u64, FrontierError>;

    /// Returns when all commits so far would survive a power cut, where the store can promise that.
    /// Sinks are synced before it is called.
    ///
    /// # Errors
    /// When the store fails.
    fn checkpoint(&mut self) -> Result<(), FrontierError>;
}

/// Decides from a host's memo whether the host's failures may be tried again.
pub type MayRetry<'a> = dyn FnMut(&Host, Option<&[u8]>) -> bool + 'a;
