//! The `Frontier` trait: what every store can do.

use bytes::Bytes;
use opilio_core::{Host, Lease, LeaseId, Reason, SinkPosition, Timestamp};

use crate::batch::{Admission, AdmittedCounts, SettledCounts, Settlement, Want};
use crate::chain::Decided;
use crate::error::FrontierError;
use crate::permit::Permit;
use crate::stats::{Failure, FrontierStats};

/// All known, unsettled URLs of a crawl, their order, and how the others ended.
///
/// One thread owns a store and makes every call. Calls are synchronous and take batches, so that a shared
/// store needs one round trip for each batch. The time is an argument. Each mutating call is one atomic commit:
/// after a kill at any point, the store holds the whole batch or nothing of it.
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
/// A lease is never stored: it is the absence of a settle. So after a kill between two steps the page is due
/// again, with its links known. Its items are cut off the output when the sinks return to
/// [`positions`](Self::positions).
///
/// A redirect has no output, so it is settled as [`Settlement::redirected`] at once. When its target is known,
/// it waits in the store until the target has ended. Then [`decided`](Self::decided) returns a new lease on it.
/// Its alias line takes a number of the sequence, and step 3 settles it as [`Settlement::alias`], or as a
/// failure when its target failed.
///
/// # The books
///
/// `discovered = filtered + admitted` and `admitted = pages + aliases + failures + left`. A redirect's target
/// becomes known but is not counted, because it ends in the name of its origin, which was counted.
///
/// The books count URLs, not fetches: each URL is in one place. So a page or a failure that is due again is
/// *left* until it ends again. A URL that a host's [caps](crate::caps) filter after it was admitted moves from
/// admitted to filtered.
pub trait Frontier: Send {
    /// Admits discovered URLs. A known URL changes nothing, so that repeating a batch is safe.
    ///
    /// A filtered URL is counted once, under its first reason. When a later discovery of it is in scope (at a
    /// smaller depth, for example), it is admitted and the counts change.
    ///
    /// # Errors
    /// When the store fails. Then it holds nothing of the batch.
    fn admit(&mut self, batch: Vec<Admission>) -> Result<AdmittedCounts, FrontierError>;

    /// Returns at most `n` hosts that have due work without a lease; each host is returned once.
    ///
    /// The caller leases the host's work until a [`lease`](Self::lease) comes back *short* (fewer
    /// records than wanted, or none). The store then returns the host again as soon as it has due work
    /// and room under its caps. After opening, the store returns all hosts with due work.
    ///
    /// The host that waited longest comes first.
    ///
    /// Also ends a bounded number of queued records of hosts that reached their caps.
    ///
    /// # Errors
    /// When the store fails.
    fn hosts_ready(&mut self, now: Timestamp, n: usize) -> Result<Vec<Host>, FrontierError>;

    /// When to call [`hosts_ready`](Self::hosts_ready) next: when the next record becomes due.
    ///
    /// The instant lies in the past if a record has become due since the last call, or if that call did not
    /// move or end all records that it could.
    fn next_due(&self) -> Option<Timestamp>;

    /// Appends to `out` at most `n` due records of each wanted host, by priority (high first),
    /// the crawl's [`Order`](crate::Order), age (old first).
    ///
    /// A record has one lease at a time. Leases are numbered in the order of `out`. If a host gets fewer leases
    /// than wanted, it has no more due records, except those that [`next_due`](Self::next_due) announces.
    ///
    /// # Errors
    /// When the store fails. Then `out` holds no lease of this call.
    fn lease(&mut self, wants: &[Want], now: Timestamp, out: &mut Vec<Lease>) -> Result<(), FrontierError>;

    /// Records how leases ended at `now`, and how far the sinks had written by then.
    ///
    /// A position replaces the earlier one of the same sink. Other sinks keep theirs. A lease that is not out is
    /// counted as stale and otherwise ignored, so that a late report does no harm.
    ///
    /// # Errors
    /// When the store fails. Then the leases are still out, and the positions are unchanged.
    fn settle(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> Result<SettledCounts, FrontierError>;

    /// Appends to `out` at most `n` of the redirected URLs that wait for a known one and whose end is now
    /// decided. Each has a new lease, which [`settle`](Self::settle) ends. Returns whether to call again at
    /// once, because one call checks only some of the URLs that wait.
    ///
    /// When nothing else is left that could decide a URL, this call decides it: rings, and URLs that lead to a
    /// page that the store no longer knows as a page. So a crawl that keeps calling ends.
    ///
    /// # Errors
    /// When the store fails. Then `out` holds no lease of this call.
    fn decided(&mut self, n: usize, out: &mut Vec<Decided>) -> Result<bool, FrontierError>;

    /// Whether this lease is known and not yet settled.
    fn is_out(&self, lease: LeaseId) -> bool;

    /// The permit to check immediately before a request to this host is written.
    fn permit(&self, host: &Host) -> Permit;

    /// Stores the memos of passivated hosts. A later memo replaces an earlier one.
    ///
    /// # Errors
    /// When the store fails. Then it keeps no memo of the batch.
    fn keep_hosts(&mut self, memos: Vec<(Host, Bytes)>) -> Result<(), FrontierError>;

    /// The last memo of a host. It stays until another replaces it. The scheduler asks for it when it starts
    /// the host.
    ///
    /// # Errors
    /// When the store fails.
    fn host_memo(&mut self, host: &Host) -> Result<Option<Bytes>, FrontierError>;

    /// Stores a note of the caller under a name. It replaces an earlier note.
    ///
    /// The next commit writes it, whichever call makes that commit (at the latest
    /// [`checkpoint`](Self::checkpoint)). So a note that changes with every settle costs no commit of its own.
    fn keep_note(&mut self, name: &'static str, note: Bytes);

    /// The note of this name.
    ///
    /// # Errors
    /// When the store fails.
    fn note(&self, name: &'static str) -> Result<Option<Bytes>, FrontierError>;

    /// Adds a text to a list of the caller, unless the list has it. The next commit writes it, like a
    /// [note](Self::keep_note).
    fn keep_listed(&mut self, list: &'static str, text: &str);

    /// The texts of a list, in any order.
    ///
    /// # Errors
    /// When the store fails.
    fn listed(&self, list: &'static str) -> Result<Vec<String>, FrontierError>;

    /// How far each sink had written at the last settle with its position, sorted by name. On resume, the output
    /// is cut back to these positions.
    ///
    /// # Errors
    /// When the store fails.
    fn positions(&self) -> Result<Vec<SinkPosition>, FrontierError>;

    /// The books, from counters: no scan.
    fn stats(&self) -> FrontierStats;

    /// At most `n` of the URLs that failed, in the order in which they ended, from the `from`th on (0 is the
    /// first).
    ///
    /// # Errors
    /// When the store fails.
    fn failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError>;

    /// Makes at most `n` failures due again, the oldest first. They have all their attempts again. Returns how
    /// many. They leave the list of [`failures`](Self::failures), and the later ones move up.
    ///
    /// # Errors
    /// When the store fails. Then none is due again.
    fn retry_failed(&mut self, n: usize) -> Result<u64, FrontierError>;

    /// Makes failures of one reason (or of any) due again, like [`retry_failed`](Self::retry_failed), but only
    /// those of hosts for which `may` returns true. It gets the host and its memo. The other failures keep
    /// their order. Returns how many are due again.
    ///
    /// # Errors
    /// When the store fails. Then some may be due again already.
    fn retry_failed_for(
        &mut self,
        reason: Option<Reason>,
        may: &mut MayRetry<'_>,
    ) -> Result<u64, FrontierError>;

    /// Makes at most `n` of the pages that ended before an instant due again, the oldest first, each with the
    /// validators of its last fetch. Returns how many.
    ///
    /// # Errors
    /// [`FrontierError::NoHistory`] when the store keeps no history; or when the store fails. Then no page is due
    /// again.
    fn refresh(&mut self, before: Timestamp, n: usize) -> Result<u64, FrontierError>;

    /// Returns when all commits so far would survive a power cut, where the store can promise that. The caller
    /// syncs the sinks before this call.
    ///
    /// # Errors
    /// When the store fails.
    fn checkpoint(&mut self) -> Result<(), FrontierError>;
}

/// Decides from a host's memo whether the host's failures may be tried again.
pub type MayRetry<'a> = dyn FnMut(&Host, Option<&[u8]>) -> bool + 'a;
